package tracing_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/tracing"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
	"github.com/capture-worker/capture-worker/worker"
)

const (
	publisher = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	other     = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00"
	traceID   = "0af7651916cd43dd8448eb211c80319c"
)

// eventHeaders passes a job through tracing without spans, and returns the headers
// of the event that is appended for it.
func eventHeaders(t *testing.T, m message) nats.Header {
	t.Helper()
	off := &tracing.Tracing{}
	ctx, done := off.Jobs("CAPTURE_JOBS", "capture-worker")(t.Context(), m)
	l := off.Ledger(&ledger.Memory{})
	if _, err := l.Append(ctx, ledgertest.Event("t", capture.Captured, 1), 0); err != nil {
		t.Fatal(err)
	}
	done(worker.Disposition{Do: worker.Ack})
	trade, err := l.Load(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	return trade.Headers
}

func TestPublishersTraceIsContinued(t *testing.T) {
	t.Parallel()
	structured := `{"specversion":"1.0","traceparent":"` + publisher + `","tracestate":"a=1","data":{"traceparent":"` + other + `"}}`
	for _, tt := range []struct {
		name         string
		header       nats.Header
		body         string
		parent, with string
	}{
		{"as the standard writes it", nats.Header{"traceparent": {publisher}, "tracestate": {"a=1,b=2"}}, "", publisher, "a=1,b=2"},
		{"as net/http writes it", nats.Header{"Traceparent": {publisher}, "Tracestate": {"a=1"}}, "", publisher, "a=1"},
		{"in upper case with a space", nats.Header{"TRACEPARENT": {" " + publisher}}, "", publisher, ""},
		{"CloudEvent in headers", nats.Header{"ce-specversion": {"1.0"}, "Ce-Traceparent": {publisher}, "CE-tracestate": {"a=1"}}, "", publisher, "a=1"},
		{"CloudEvent in the body", nil, structured, publisher, "a=1"},
		{"message headers take precedence over the event", nats.Header{"traceparent": {other}, "ce-traceparent": {publisher}}, structured, other, ""},
		{"an invalid header does not hide the event's", nats.Header{"traceparent": {"nonsense"}}, structured, publisher, "a=1"},
		{"an invalid state does not hide the parent", nats.Header{"traceparent": {publisher}, "tracestate": {"=,="}}, "", publisher, ""},
		{"no trace", nats.Header{"Shop": {"x"}}, `{"trade_id":"t"}`, "", ""},
		{"no headers", nil, "", "", ""},
		{"not a CloudEvent", nil, `{"traceparent":"` + publisher + `"}`, "", ""},
		{"not JSON", nil, `"traceparent"`, "", ""},
		{"all zeros", nats.Header{"traceparent": {"00-00000000000000000000000000000000-b7ad6b7169203331-01"}}, "", "", ""},
		{"broken lines", nats.Header{"traceparent": {publisher + "\r\nNats-Msg-Id: x"}}, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := tracing.Carrier(eventHeaders(t, message{header: tt.header, body: tt.body}))
			if got := h.Get("traceparent"); got != tt.parent {
				t.Errorf("traceparent is %q, want %q", got, tt.parent)
			}
			if got := h.Get("tracestate"); got != tt.with {
				t.Errorf("tracestate is %q, want %q", got, tt.with)
			}
		})
	}
}

func TestCarrierIgnoresCase(t *testing.T) {
	t.Parallel()
	c := tracing.Carrier{"TraceParent": {"a"}, "x": {"b"}}
	c.Set("traceparent", "c")
	if len(c.Keys()) != 2 || c.Get("TRACEPARENT") != "c" || c.Get("X") != "b" || c.Get("y") != "" {
		t.Errorf("carrier is %v", c)
	}
}

// Without spans and without a publisher's trace, tracing allocates nothing.
func TestOffAllocatesNothing(t *testing.T) {
	off := &tracing.Tracing{}
	follow := off.Jobs("CAPTURE_JOBS", "capture-worker")
	var m jetstream.Msg = message{header: nats.Header{"Nats-Msg-Id": {"1"}}}
	n := testing.AllocsPerRun(100, func() {
		_, done := follow(context.Background(), m)
		done(worker.Disposition{})
	})
	if n > 0 {
		t.Errorf("%g allocations for a job", n)
	}
	g := fixed{}
	if off.Gateway(g, "https://g.example") != worker.Gateway(g) {
		t.Error("the gateway is wrapped without need")
	}
	if err := off.Stop(); err != nil {
		t.Error(err)
	}
}

func TestLogHandler(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(tracing.LogHandler(slog.NewTextHandler(&out, nil))).With("w", 1).WithGroup("g")
	ctx, _ := (&tracing.Tracing{}).Jobs("S", "c")(t.Context(), message{header: nats.Header{"traceparent": {publisher}}})
	log.InfoContext(ctx, "with")
	log.Info("without")
	with, without, _ := strings.Cut(out.String(), "\n")
	if !strings.Contains(with, "trace_id="+traceID) || strings.Contains(with, "span_id") {
		t.Errorf("want the publisher's trace id and no span id: %s", with)
	}
	if strings.Contains(without, "trace_id") {
		t.Errorf("a trace id without a trace: %s", without)
	}
}
