package tracing

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/trace"
)

// tradeTrace holds, for the work under one context, the trace of the trade that it
// works on. It is read from the headers of the trade's last event.
type tradeTrace struct {
	// follow means that the work continues the trade's trace instead of the trace
	// of its context. The work after a notification does, so that all events of a
	// trade are in one trace.
	follow bool

	mu    sync.Mutex
	trade trace.SpanContext
}

type tradeTraceKey struct{}

func withTradeTrace(ctx context.Context, follow bool) context.Context {
	return context.WithValue(ctx, tradeTraceKey{}, &tradeTrace{follow: follow})
}

// set keeps the trace of the trade's last event, and reports whether the trace id
// has changed.
func (t *tradeTrace) set(sc trace.SpanContext) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed = sc.TraceID() != t.trade.TraceID()
	t.trade = sc
	return changed
}

// tradeContext returns ctx with the trade's trace if the work follows that, and
// then a link to the trace of ctx.
func tradeContext(ctx context.Context) (context.Context, []trace.Link) {
	t, _ := ctx.Value(tradeTraceKey{}).(*tradeTrace)
	if t == nil || !t.follow {
		return ctx, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.trade.IsValid() {
		return ctx, nil
	}
	var links []trace.Link
	if here := trace.SpanContextFromContext(ctx); here.IsValid() && here.TraceID() != t.trade.TraceID() {
		links = []trace.Link{{SpanContext: here}}
	}
	return trace.ContextWithRemoteSpanContext(ctx, t.trade), links
}
