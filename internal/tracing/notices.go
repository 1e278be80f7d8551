package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Notices is the Tracer of notify.Config. A notification starts a trace of its
// own, whatever trace context its sender gave, and is linked to the trade's
// trace. The work that follows continues the trade's trace.
type Notices struct {
	t    *Tracing
	path string
}

// Notices returns the Tracer of the listener at path.
func (t *Tracing) Notices(path string) Notices { return Notices{t, path} }

// Received starts the span of a verified notification.
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
			span.SetStatus(codes.Error, "not stored, the gateway will send it again")
		}
		span.SetAttributes(semconv.HTTPResponseStatusCode(status))
		span.End()
	}
}

// Resolving returns a context that continues the trade's trace.
func (Notices) Resolving(ctx context.Context, _ string) context.Context {
	return withTradeTrace(ctx, true)
}
