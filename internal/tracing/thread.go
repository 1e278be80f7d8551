package tracing

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/trace"
)

// none is a context without a trace.
var none = context.Background()

// thread is what the work under one context has learned of its trade's trace,
// which stands in the headers of the trade's last event.
type thread struct {
	// follow: the work continues the trade's trace, rather than the one that
	// it runs in. So does what a notification leads to: what is written of a
	// trade stays in one trace.
	follow bool

	mu    sync.Mutex
	trade trace.SpanContext
}

type threadKey struct{}

func withThread(ctx context.Context, follow bool) context.Context {
	return context.WithValue(ctx, threadKey{}, &thread{follow: follow})
}

// learn keeps the trace of the trade's last event, and reports whether it is
// another one than was known.
func (t *thread) learn(sc trace.SpanContext) (news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	news = sc.TraceID() != t.trade.TraceID()
	t.trade = sc
	return news
}

// place returns the context to continue a trade's trace under, and a link to
// the trace that is left by that.
func place(ctx context.Context) (context.Context, []trace.Link) {
	t, _ := ctx.Value(threadKey{}).(*thread)
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
