package capture_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

func fullJob(t *testing.T) capture.Job {
	t.Helper()
	return capture.Job{
		TradeID: "T1", Amount: euros(t, "24.90"), OrderID: "1001", Description: `tea "green" & café`,
		NotifyURL: "https://shop.example/n?a=1&b=2", AuthorizedAmount: euros(t, "30"),
		AuthorizedAt:  time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC),
		CaptureBefore: time.Date(2026, 12, 1, 10, 0, 0, 5, time.UTC),
	}
}

func TestEncodeIsReadBackByTheSameMapping(t *testing.T) {
	mapped := map[string]capture.Field{
		"trade_id": capture.At("payment.trade_id"), "amount": capture.At("payment.total.value"), "currency": capture.At("payment.total.currency"),
		"order_id": capture.At("orderNumber"), "description": capture.At("none"), "notify_url": capture.At("notify"),
		"authorized_amount": capture.At("payment.authorized"), "authorized_at": capture.At("payment.at"), "capture_before": capture.At("payment.until"),
	}
	for name, m := range map[string]capture.Mapping{
		"our own shape": {},
		"mapped":        {Fields: mapped},
		"selected": {Fields: mapped, Match: []capture.Match{
			{Path: "kind", Value: "order.shipped"}, {Path: "kind", Value: "order.part_shipped"},
			{Path: "payment.live", Value: "true"},
		}},
		"selected by attributes": {Fields: mapped, Match: []capture.Match{
			{Path: "ce-type", Value: "order.shipped"}, {Path: "ce-source", Value: "/shop"}, {Path: "ce-tenant", Value: "7"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			job := fullJob(t)
			header, body, err := m.Encode(job, "E1")
			if err != nil {
				t.Fatal(err)
			}
			dec, err := capture.NewDecoder(m)
			if err != nil {
				t.Fatal(err)
			}
			back, err := dec.Decode(header, body)
			if err != nil || back != job {
				t.Errorf("read back %+v, %v\nfrom %v %s", back, err, header, body)
			}
			if len(header) > 0 && header["ce-id"][0] != "E1" {
				t.Errorf("the event's id is %v", header["ce-id"])
			}
		})
	}
}

func TestEncodeInOurOwnShapeIsThePlainJob(t *testing.T) {
	header, body, err := capture.Mapping{}.Encode(fullJob(t), "E1")
	if err != nil || len(header) > 0 {
		t.Fatalf("header %v, %v", header, err)
	}
	var got, want map[string]any
	plain, _ := json.Marshal(fullJob(t))
	if json.Unmarshal(body, &got) != nil || json.Unmarshal(plain, &want) != nil || len(got) != len(want) {
		t.Errorf("got  %s\nwant %s", body, plain)
	}
}

func TestEncodeRefusesWhatWouldNotBeReadBack(t *testing.T) {
	for name, m := range map[string]capture.Mapping{
		"a field must hold another value": {Match: []capture.Match{{Path: "currency", Value: "USD"}}},
		"a match through a field":         {Match: []capture.Match{{Path: "order_id.kind", Value: "x"}}},
		"two fields from one path":        {Fields: map[string]capture.Field{"order_id": capture.At("text"), "description": capture.At("text")}},
	} {
		t.Run(name, func(t *testing.T) {
			if header, body, err := m.Encode(fullJob(t), "E1"); !errors.Is(err, capture.ErrEncode) {
				t.Errorf("got %v %s, error %v", header, body, err)
			}
		})
	}
	if _, _, err := (capture.Mapping{Fields: map[string]capture.Field{"nope": capture.At("x")}}).Encode(fullJob(t), "E1"); !errors.Is(err, capture.ErrMapping) {
		t.Errorf("a broken mapping: %v", err)
	}
	if _, _, err := (capture.Mapping{}).Encode(capture.Job{TradeID: "T1"}, "E1"); !errors.Is(err, capture.ErrEncode) {
		t.Errorf("a job without an amount: %v", err)
	}
}

func TestEncoderSaysWhatItLeavesOut(t *testing.T) {
	enc, err := capture.NewEncoder(capture.Mapping{Fields: map[string]capture.Field{"trade_id": capture.At("trade")}})
	if err != nil {
		t.Fatal(err)
	}
	if got := enc.Unread(fullJob(t)); !slices.Equal(got, []string{"order_id", "description", "authorized_at", "authorized_amount", "capture_before", "notify_url"}) {
		t.Errorf("%v", got)
	}
	plain := capture.Job{TradeID: "T1", Amount: euros(t, "1"), Description: "capture of T1"}
	if got := enc.Unread(plain); len(got) > 0 {
		t.Errorf("%v of a job whose description is that of every job", got)
	}
}
