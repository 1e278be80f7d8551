package capture_test

import (
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

func BenchmarkDecode(b *testing.B) {
	least := `{"trade_id":"T0000000120261122","amount":"24.99","currency":"EUR","order_id":"A-1","description":"order A-1"}`
	structured := `{"specversion":"1.0","id":"1","source":"/shop","type":"order.shipped","data":` + jobWith("", nil) + `}`
	binary := map[string][]string{
		"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/shop"}, "ce-type": {"order.shipped"}, "content-type": {"application/json"},
	}
	d := decoderFor(b, capture.Mapping{})
	for _, bc := range []struct {
		name   string
		header map[string][]string
		body   string
	}{
		{"plain", nil, least},
		{"plain, every field", nil, jobWith("", nil)},
		{"structured", nil, structured},
		{"binary", binary, jobWith("", nil)},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			body := []byte(bc.body)
			for b.Loop() {
				if _, err := d.Decode(bc.header, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// happy are the two events of a trade that goes well, and what led to them.
type happy struct {
	job               capture.Job
	finding           capture.Finding
	attempted, settle capture.Event
	calling           capture.State
}

func happyPath(b *testing.B) happy {
	b.Helper()
	h := happy{job: capture.Job{TradeID: "T0000000120261122", Amount: euros(b, "24.99"), OrderID: "A-1", Description: "order A-1"}}
	h.attempted = *capture.Decide(&capture.State{}, &h.job, eventTime, foldPolicy).Event
	h.attempted.ID, h.attempted.Time, h.attempted.Worker = "W6HSVOSQFBTPKGQ9GTYL2C", eventTime, "worker-1"
	h.attempted.RequestID, h.attempted.LeaseUntil = "ca51f2fas3i0f8uiw7efj6oe4i2w", eventTime.Add(time.Minute)
	h.calling.Add(&h.attempted)
	order := &capture.Order{
		TradeID: h.job.TradeID, OrderID: "23505805395809345894869", State: capture.OrderPaid, Amount: h.job.Amount,
		SettlementAmount: "24.99", SettlementCurrency: "EUR", ExchangeRate: "1",
	}
	h.finding = capture.Finding{Via: capture.ViaCapture, Call: 1, Answer: capture.Answer{
		Kind: capture.AnswerDone, Code: "200", Why: "paid", ResponseID: "202407111550570060848432",
		HTTPStatus: 200, Latency: 20 * time.Millisecond, Order: order,
	}}
	h.settle = *capture.Judge(&h.calling, &h.job, h.finding, eventTime, foldPolicy)
	h.settle.ID, h.settle.Time, h.settle.Worker = "W6HSVOSQFBTPKGQ9GTYL3D", eventTime, "worker-1"
	if h.attempted.Type != capture.Attempted || h.settle.Type != capture.Captured {
		b.Fatalf("the path leads to %s, %s", h.attempted.Type, h.settle.Type)
	}
	return h
}

func BenchmarkDecide(b *testing.B) {
	h := happyPath(b)
	b.Run("first call", func(b *testing.B) {
		b.ReportAllocs()
		var unseen capture.State
		for b.Loop() {
			if capture.Decide(&unseen, &h.job, eventTime, foldPolicy).Do != capture.DoAttempt {
				b.Fatal("no attempt")
			}
		}
	})
	done := h.calling
	done.Add(&h.settle)
	b.Run("captured", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if capture.Decide(&done, &h.job, eventTime, foldPolicy).Do != capture.DoAck {
				b.Fatal("no ack")
			}
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	b.ReportAllocs()
	h := happyPath(b)
	for b.Loop() {
		if capture.Judge(&h.calling, &h.job, h.finding, eventTime, foldPolicy).Type != capture.Captured {
			b.Fatal("not captured")
		}
	}
}

func BenchmarkEncodeEvent(b *testing.B) {
	h := happyPath(b)
	for _, e := range []capture.Event{h.attempted, h.settle} {
		b.Run(string(e.Type), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Encode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	h := happyPath(b)
	for _, e := range []capture.Event{h.attempted, h.settle} {
		text, err := e.Encode()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(e.Type), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := capture.DecodeEvent(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFold(b *testing.B) {
	b.ReportAllocs()
	h := happyPath(b)
	events := []capture.Event{h.attempted, h.settle}
	for b.Loop() {
		if capture.Fold(events).Phase != capture.PhaseCaptured {
			b.Fatal("not captured")
		}
	}
}
