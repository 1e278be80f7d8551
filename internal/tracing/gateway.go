package tracing

import (
	"context"
	"net/url"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/worker"
)

// Gateway returns a gateway with a span for each call, by the semantic conventions
// for HTTP clients. It works above the HTTP client, so spans cannot contain
// signatures or bodies, and no trace context is sent to the gateway.
func (t *Tracing) Gateway(next worker.Gateway, endpoint string) worker.Gateway {
	if t.tracer == nil {
		return next
	}
	return &tracedGateway{next: next, tracer: t.tracer, server: serverAttributes(endpoint)}
}

type tracedGateway struct {
	next   worker.Gateway
	tracer trace.Tracer
	server []attribute.KeyValue
}

// serverAttributes describes the endpoint without user, query and fragment, which
// may be secret.
func serverAttributes(endpoint string) []attribute.KeyValue {
	all := []attribute.KeyValue{semconv.HTTPRequestMethodPost}
	u, err := url.Parse(endpoint)
	if err != nil {
		return all
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = map[string]int{"https": 443, "http": 80}[u.Scheme]
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return append(all, semconv.ServerAddress(u.Hostname()), semconv.ServerPort(port), semconv.URLFull(u.String()))
}

func (g *tracedGateway) Capture(ctx context.Context, r gateway.CaptureRequest) capture.Answer {
	ctx, end := g.start(ctx, gateway.MethodCapture, r.TradeID)
	a := g.next.Capture(ctx, r)
	end(a)
	return a
}

func (g *tracedGateway) Query(ctx context.Context, tradeID string) capture.Answer {
	ctx, end := g.start(ctx, gateway.MethodQueryOrder, tradeID)
	a := g.next.Query(ctx, tradeID)
	end(a)
	return a
}

func (g *tracedGateway) start(ctx context.Context, method, tradeID string) (context.Context, func(capture.Answer)) {
	tradeCtx, links := tradeContext(ctx)
	ctx, span := g.tracer.Start(tradeCtx, "POST "+method, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithLinks(links...), trace.WithAttributes(g.server...))
	span.SetAttributes(attribute.String("capture.gateway.method", method), attribute.String("capture.trade_id", tradeID))
	return ctx, func(a capture.Answer) {
		setAnswer(span, a)
		span.End()
	}
}

// setAnswer adds the answer to the span, without texts of the gateway.
func setAnswer(span trace.Span, a capture.Answer) {
	span.SetAttributes(attribute.String("capture.answer", string(a.Kind)))
	if a.HTTPStatus != 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(a.HTTPStatus))
	}
	if a.Code != "" {
		span.SetAttributes(attribute.String("capture.gateway.code", a.Code))
	}
	if a.Order != nil {
		span.SetAttributes(attribute.String("capture.order.state", string(a.Order.State)))
	}
	switch {
	case a.Kind == capture.AnswerDone:
		return
	case a.Kind == capture.AnswerRefused && !a.OurFault():
		// The call worked; the trade cannot be captured.
		span.SetAttributes(semconv.ErrorTypeKey.String(a.Code))
		return
	case a.HTTPStatus >= 400:
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(a.HTTPStatus)))
	default:
		span.SetAttributes(semconv.ErrorTypeKey.String(string(a.Kind)))
	}
	span.SetStatus(codes.Error, string(a.Kind))
}
