package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Notices follows notifications; it is a notify.Config's Tracer. A trace of
// the sender is not believed: a notification begins a trace of its own, linked
// to its trade's, and what it leads to continues the trade's.
type Notices struct {
	t    *Tracing
	path string
}

// Notices returns the Tracer of the listener at path.
func (t *Tracing) Notices(path string) Notices { return Notices{t, path} }

// Received is called for genuine notifications only: forgeries make no spans.
func (n Notices) Received(ctx context.Context, tradeID string) (context.Context, func(error)) {
	ctx = withTradeTrace(ctx, true)
	if n.t.tracer == nil {
		return ctx, func(error) {}
	}
	ctx, span := n.t.tracer.Start(ctx, "POST "+n.path, trace.WithSpanKind(trace.SpanKindServer), trace.WithNewRoot(),
		trace.WithAttributes(semconv.HTTPRequestMethodPost, semconv.HTTPRoute(n.path), attribute.String("capture.trade_id", tradeID)))
	return ctx, func(err error) {
		status := http.StatusOK
		if err != nil {
			status = http.StatusServiceUnavailable
			span.SetStatus(codes.Error, "not kept; the gateway will send it again")
		}
		span.SetAttributes(semconv.HTTPResponseStatusCode(status))
		span.End()
	}
}

// Resolving continues the trade's trace.
func (Notices) Resolving(ctx context.Context, _ string) context.Context {
	return withTradeTrace(ctx, true)
}
