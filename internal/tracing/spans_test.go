package tracing_test

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/tracing"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
	"github.com/capture-worker/capture-worker/worker"
)

// fixed is a gateway that always gives the same answer.
type fixed struct{ answer *capture.Answer }

func (g fixed) Capture(context.Context, gateway.CaptureRequest) capture.Answer { return *g.answer }
func (g fixed) Query(context.Context, string) capture.Answer                   { return *g.answer }

func startTracing(t *testing.T, c *collector, change func(*tracing.Options)) *tracing.Tracing {
	t.Helper()
	o := tracing.Options{Endpoint: c.URL, Sample: 1, Version: "v1", Instance: "w", Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	traces, err := tracing.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return traces
}

func stop(t *testing.T, traces *tracing.Tracing) {
	t.Helper()
	if err := traces.Stop(); err != nil {
		t.Fatal(err)
	}
}

func event(typ capture.EventType, n int) capture.Event {
	e := ledgertest.Event("t", typ, n)
	e.OrderID, e.Attempt = "A-1", 1
	return e
}

func mustAppend(ctx context.Context, t *testing.T, l ledger.Ledger, e capture.Event, after uint64) uint64 {
	t.Helper()
	seq, err := l.Append(ctx, e, after)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// work does what a worker does for a job that is captured with the first call.
func work(t *testing.T, traces *tracing.Tracing, l ledger.Ledger, m message, answer capture.Answer) {
	t.Helper()
	ctx, done := traces.Jobs("CAPTURE_JOBS", "capture-worker")(t.Context(), m)
	seq := mustAppend(ctx, t, l, event(capture.Attempted, 1), 0)
	traces.Gateway(fixed{&answer}, "https://g.example:8443/Payments?token=abc").Capture(ctx, gateway.CaptureRequest{TradeID: "t"})
	mustAppend(ctx, t, l, event(capture.Captured, 2), seq)
	done(worker.Disposition{Do: worker.Ack, Rule: "paid"})
}

func TestSpansOfAJob(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	traces := startTracing(t, c, nil)
	l := traces.Ledger(&ledger.Memory{})
	m := message{header: nats.Header{"Traceparent": {publisher}, "Nats-Msg-Id": {"m-1"}}, body: "{}"}
	paid := capture.Order{TradeID: "t", State: capture.OrderPaid}
	work(t, traces, l, m, capture.Answer{Kind: capture.AnswerDone, Code: "200", HTTPStatus: 200, Order: &paid})
	stop(t, traces)

	job := c.span(t, "process CAPTURE_JOBS")
	if hex.EncodeToString(job.TraceId) != traceID || hex.EncodeToString(job.ParentSpanId) != "b7ad6b7169203331" || job.Kind != tracepb.Span_SPAN_KIND_CONSUMER {
		t.Errorf("the job's span is not a child of the publisher's: %v", job)
	}
	wantAttributes(t, job, map[string]string{
		"messaging.system": "nats", "messaging.operation.type": "process", "messaging.operation.name": "process",
		"messaging.destination.name": "capture.jobs.shipped", "messaging.consumer.group.name": "capture-worker",
		"messaging.message.id": "m-1", "messaging.message.body.size": "2", "nats.stream": "CAPTURE_JOBS",
		"nats.stream.sequence": "7", "nats.deliveries": "2", "capture.trade_id": "t", "capture.order_id": "A-1",
		"capture.outcome": "captured", "capture.verb": "ack", "capture.rule": "paid", "capture.attempt": "1",
	})
	call := c.span(t, "POST v3.Capture")
	wantAttributes(t, call, map[string]string{
		"http.request.method": "POST", "http.response.status_code": "200", "server.address": "g.example",
		"server.port": "8443", "url.full": "https://g.example:8443/Payments", "capture.answer": "done",
		"capture.gateway.code": "200", "capture.order.state": "paid", "capture.trade_id": "t",
	})
	outcome := c.span(t, "publish captures.{trade_id}.captured")
	wantAttributes(t, outcome, map[string]string{
		"messaging.system": "nats", "messaging.operation.type": "send", "messaging.destination.name": "captures.t.captured",
		"messaging.message.id": "t-captured-2", "capture.outcome": "captured",
	})
	for _, s := range []*tracepb.Span{call, outcome, c.span(t, "publish captures.{trade_id}.attempted")} {
		if string(s.ParentSpanId) != string(job.SpanId) || string(s.TraceId) != string(job.TraceId) {
			t.Errorf("span %q is not a child of the job's", s.Name)
		}
	}
	trade, err := l.Load(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	want := "00-" + traceID + "-" + hex.EncodeToString(outcome.SpanId) + "-01"
	if got := trade.Headers["traceparent"]; len(got) != 1 || got[0] != want {
		t.Errorf("the headers of the outcome are %v, want %s", got, want)
	}
}

// One text with invalid UTF-8 would lose all spans of its request.
func TestInvalidTextLosesNoSpans(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"caf\xe9-1", strings.Repeat("出货", 100)} {
		c := newCollector(t)
		traces := startTracing(t, c, nil)
		m := message{header: nats.Header{"Traceparent": {publisher}, "Nats-Msg-Id": {id}}, body: "{}"}
		work(t, traces, traces.Ledger(&ledger.Memory{}), m, capture.Answer{Kind: capture.AnswerDone, Code: "200", HTTPStatus: 200})
		stop(t, traces)
		c.span(t, "process CAPTURE_JOBS")
	}
}

func TestErrorStatus(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer capture.Answer
		err    string
		failed bool
	}{
		{"timeout", capture.Answer{Kind: capture.AnswerUnknown}, "unknown", true},
		{"not sent", capture.Answer{Kind: capture.AnswerNotSent}, "not_sent", true},
		{"bad gateway", capture.Answer{Kind: capture.AnswerUnknown, HTTPStatus: 502}, "502", true},
		{"our key", capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeSignature, HTTPStatus: 200}, "refused", true},
		{"refused", capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeAmountExceeded, HTTPStatus: 200}, "-4084", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t)
			traces := startTracing(t, c, nil)
			traces.Gateway(fixed{&tt.answer}, "https://g.example/P").Query(t.Context(), "t")
			stop(t, traces)
			s := c.span(t, "POST v3.QueryOrder")
			wantAttributes(t, s, map[string]string{"error.type": tt.err, "server.port": "443"})
			if failed := s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR; failed != tt.failed {
				t.Errorf("status %v", s.Status)
			}
		})
	}
}

func TestErrorTypes(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	traces := startTracing(t, c, nil)
	failing := errors.New("out of reach")
	for typ, err := range map[capture.EventType]error{
		capture.Attempted: ledger.ErrConflict, capture.Answered: ledger.ErrUncertain, capture.Parked: failing,
	} {
		l := traces.Ledger(ledgertest.Faulty{Ledger: &ledger.Memory{}, Before: func(ledgertest.Call) error { return err }})
		if _, got := l.Append(t.Context(), event(typ, 1), 0); !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
	_, done := traces.Jobs("S", "c")(t.Context(), message{})
	done(worker.Disposition{Do: worker.DeadLetter, Reason: "not_json"})
	stop(t, traces)
	for name, want := range map[string]struct {
		err    string
		failed bool
	}{
		"publish captures.{trade_id}.attempted": {"conflict", false},
		"publish captures.{trade_id}.answered":  {"uncertain", true},
		"publish captures.{trade_id}.parked":    {"failed", true},
		"process S":                             {"not_json", true},
	} {
		s := c.span(t, name)
		wantAttributes(t, s, map[string]string{"error.type": want.err})
		if failed := s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR; failed != want.failed {
			t.Errorf("%s: status %v", name, s.Status)
		}
	}
}

// A notification starts a trace of its own with a link to the trade's trace,
// whatever trace context it came with. The work that follows is in the trade's
// trace.
func TestNotifications(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	traces := startTracing(t, c, nil)
	l := traces.Ledger(&ledger.Memory{})
	ctx, _ := (&tracing.Tracing{}).Jobs("S", "c")(t.Context(), message{header: nats.Header{"traceparent": {publisher}}})
	seq := mustAppend(ctx, t, l, event(capture.Attempted, 1), 0)

	notices := traces.Notices("/notify")
	foreign, _ := (&tracing.Tracing{}).Jobs("S", "c")(t.Context(), message{header: nats.Header{"traceparent": {other}}})
	ctx, done := notices.Received(foreign, "t")
	if _, err := l.Load(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	seq = mustAppend(ctx, t, l, event(capture.Notified, 2), seq)
	done(nil)

	ctx = notices.Resolving(t.Context(), "t")
	if _, err := l.Load(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	traces.Gateway(fixed{&capture.Answer{Kind: capture.AnswerDone}}, "https://g.example/P").Query(ctx, "t")
	mustAppend(ctx, t, l, event(capture.Captured, 3), seq)
	stop(t, traces)

	received := c.span(t, "POST /notify")
	wantAttributes(t, received, map[string]string{"http.route": "/notify", "http.response.status_code": "200", "capture.trade_id": "t"})
	if len(received.ParentSpanId) > 0 || len(received.Links) != 1 || hex.EncodeToString(received.Links[0].TraceId) != traceID {
		t.Errorf("want a trace of its own with a link to the trade's: %v", received)
	}
	for _, name := range []string{"publish captures.{trade_id}.notified", "POST v3.QueryOrder", "publish captures.{trade_id}.captured"} {
		if s := c.span(t, name); hex.EncodeToString(s.TraceId) != traceID {
			t.Errorf("span %q is not in the trade's trace", name)
		}
	}
	kept := c.span(t, "publish captures.{trade_id}.notified")
	if len(kept.Links) != 1 || string(kept.Links[0].TraceId) != string(received.TraceId) {
		t.Errorf("the stored event has no link to its notification: %v", kept.Links)
	}
}

// A second job for a trade has another trace, with a link to the first.
func TestSecondJobLinksToTheTradesTrace(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	traces := startTracing(t, c, nil)
	l := traces.Ledger(&ledger.Memory{})
	ctx, _ := (&tracing.Tracing{}).Jobs("S", "c")(t.Context(), message{header: nats.Header{"traceparent": {publisher}}})
	mustAppend(ctx, t, l, event(capture.Captured, 1), 0)
	ctx, done := traces.Jobs("S", "c")(t.Context(), message{})
	for range 3 {
		if _, err := l.LoadLatest(ctx, "t"); err != nil {
			t.Fatal(err)
		}
	}
	done(worker.Disposition{Do: worker.Ack})
	stop(t, traces)
	job := c.span(t, "process S")
	if len(job.Links) != 1 || hex.EncodeToString(job.Links[0].TraceId) != traceID {
		t.Errorf("links are %v, want one to the trade's trace", job.Links)
	}
	wantAttributes(t, job, map[string]string{"capture.trade_id": "t"})
}

// Traces of publishers keep their sampling decision; others are sampled here.
func TestSampling(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	traces := startTracing(t, c, func(o *tracing.Options) { o.Sample = 0 })
	l := traces.Ledger(&ledger.Memory{})
	work(t, traces, l, message{}, capture.Answer{Kind: capture.AnswerDone})
	trade, err := l.Load(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	if got := trade.Headers["traceparent"]; len(got) != 1 || got[0][len(got[0])-3:] != "-00" {
		t.Errorf("an unsampled trace is continued as %v", got)
	}
	work(t, traces, traces.Ledger(&ledger.Memory{}), message{header: nats.Header{"traceparent": {publisher}}}, capture.Answer{Kind: capture.AnswerDone})
	stop(t, traces)
	if n, _ := c.count(); n != 4 {
		t.Errorf("%d spans, want the 4 of the sampled job", n)
	}
}
