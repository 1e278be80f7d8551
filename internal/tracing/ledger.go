package tracing

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
)

// Ledger returns a ledger that stores the trace context of each append in the
// headers of the event, so that consumers can continue the trade's trace.
func (t *Tracing) Ledger(next ledger.Ledger) ledger.Ledger { return &tracedLedger{next, t} }

type tracedLedger struct {
	ledger.Ledger
	t *Tracing
}

func (l *tracedLedger) Append(ctx context.Context, e capture.Event, after uint64, opts ...ledger.AppendOption) (uint64, error) {
	ctx, opts, end := l.t.beginAppend(ctx, &e, opts)
	seq, err := l.Ledger.Append(ctx, e, after, opts...)
	end(err)
	return seq, err
}

// beginAppend starts the span of an append and adds its headers. It is not inlined, so
// that it takes no stack while the event is appended.
//
//go:noinline
func (t *Tracing) beginAppend(ctx context.Context, e *capture.Event, opts []ledger.AppendOption) (context.Context, []ledger.AppendOption, func(error)) {
	ctx, end := t.startAppend(ctx, e)
	if trace.SpanContextFromContext(ctx).IsValid() {
		opts = withTraceHeaders(ctx, opts)
	}
	return ctx, opts, end
}

// withTraceHeaders adds the headers that continue the trace of ctx.
func withTraceHeaders(ctx context.Context, opts []ledger.AppendOption) []ledger.AppendOption {
	h := nats.Header{}
	propagation.TraceContext{}.Inject(ctx, Carrier(h))
	return append(opts, ledger.WithHeaders(h))
}

// startAppend returns the context of the trade's trace for an append, and starts
// its span if tracing is on.
func (t *Tracing) startAppend(ctx context.Context, e *capture.Event) (context.Context, func(error)) {
	tradeCtx, links := tradeContext(ctx)
	if t.tracer == nil {
		return tradeCtx, func(error) {}
	}
	setTradeAttributes(trace.SpanFromContext(ctx), e)
	return t.startPublish(tradeCtx, links, e)
}

// setTradeAttributes adds the trade to the span of the work on it.
func setTradeAttributes(span trace.Span, e *capture.Event) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(eventAttributes(e)...)
}

func eventAttributes(e *capture.Event) []attribute.KeyValue {
	all := []attribute.KeyValue{attribute.String("capture.trade_id", e.TradeID), attribute.Int("capture.attempt", e.Attempt)}
	if e.OrderID != "" {
		all = append(all, attribute.String("capture.order_id", cut(e.OrderID)))
	}
	if e.Type.Outcome() {
		all = append(all, attribute.String("capture.outcome", string(e.Type)))
	}
	if e.Reason != "" {
		all = append(all, attribute.String("capture.reason", cut(e.Reason)))
	}
	return all
}

// startPublish starts the span of an event that is published.
func (t *Tracing) startPublish(ctx context.Context, links []trace.Link, e *capture.Event) (context.Context, func(error)) {
	template := "captures.{trade_id}." + string(e.Type)
	ctx, span := t.tracer.Start(ctx, "publish "+template, trace.WithSpanKind(trace.SpanKindProducer), trace.WithLinks(links...))
	if span.IsRecording() {
		span.SetAttributes(eventAttributes(e)...)
		span.SetAttributes(
			system, semconv.MessagingOperationTypeSend, semconv.MessagingOperationName("publish"),
			semconv.MessagingDestinationTemplate(template), semconv.MessagingDestinationName(ledger.Subject(e.TradeID, e.Type)),
			semconv.MessagingMessageID(e.ID),
		)
	}
	return ctx, func(err error) {
		switch {
		case err == nil:
		case errors.Is(err, ledger.ErrConflict):
			// Another writer was first, which is not a fault.
			span.SetAttributes(semconv.ErrorTypeKey.String("conflict"))
		case errors.Is(err, ledger.ErrUncertain):
			span.SetAttributes(semconv.ErrorTypeKey.String("uncertain"))
			span.SetStatus(codes.Error, "not known whether it is stored")
		default:
			span.SetAttributes(semconv.ErrorTypeKey.String("failed"))
			span.SetStatus(codes.Error, "not stored")
		}
		span.End()
	}
}

func (l *tracedLedger) Load(ctx context.Context, tradeID string) (ledger.Trade, error) {
	trade, err := l.Ledger.Load(ctx, tradeID)
	l.loaded(ctx, trade, err)
	return trade, err
}

func (l *tracedLedger) LoadLatest(ctx context.Context, tradeID string) (ledger.Trade, error) {
	trade, err := l.Ledger.LoadLatest(ctx, tradeID)
	l.loaded(ctx, trade, err)
	return trade, err
}

// loaded keeps the trade's trace for later appends, and links the current span to
// it if that is in another trace, for instance that of an earlier job.
func (l *tracedLedger) loaded(ctx context.Context, trade ledger.Trade, err error) {
	t, _ := ctx.Value(tradeTraceKey{}).(*tradeTrace)
	if t == nil || err != nil {
		return
	}
	sc := extract(Carrier(trade.Headers))
	if !sc.IsValid() || !t.set(sc) {
		return
	}
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(attribute.String("capture.trade_id", trade.ID))
	if span.SpanContext().TraceID() != sc.TraceID() {
		span.AddLink(trace.Link{SpanContext: sc})
	}
}
