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

// Ledger gives the events that go through it the trace of what they are
// appended for, so that whoever reads them continues it.
func (t *Tracing) Ledger(next ledger.Ledger) ledger.Ledger { return &tracedLedger{next, t} }

type tracedLedger struct {
	ledger.Ledger
	t *Tracing
}

func (l *tracedLedger) Append(ctx context.Context, e capture.Event, after uint64) (uint64, error) {
	ctx, done := l.t.append(ctx, &e)
	seq, err := l.Ledger.Append(ctx, e, after)
	done(err)
	return seq, err
}

// append puts the trace of the trade into the context of an append, and begins
// its span where spans are made.
func (t *Tracing) append(ctx context.Context, e *capture.Event) (context.Context, func(error)) {
	done := func(error) {}
	placed, links := place(ctx)
	if t.tracer != nil {
		nameWork(trace.SpanFromContext(ctx), e)
		placed, done = t.appending(placed, links, e)
	}
	if sc := trace.SpanContextFromContext(placed); sc.IsValid() {
		h := nats.Header{}
		propagation.TraceContext{}.Inject(placed, Carrier(h))
		placed = ledger.WithHeaders(placed, h)
	}
	return placed, done
}

// nameWork writes down what the work turned out to be about, on its span.
func nameWork(span trace.Span, e *capture.Event) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(about(e)...)
}

func about(e *capture.Event) []attribute.KeyValue {
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

// appending is the span of an event that is published.
func (t *Tracing) appending(ctx context.Context, links []trace.Link, e *capture.Event) (context.Context, func(error)) {
	template := "captures.{trade_id}." + string(e.Type)
	ctx, span := t.tracer.Start(ctx, "publish "+template, trace.WithSpanKind(trace.SpanKindProducer), trace.WithLinks(links...))
	if span.IsRecording() {
		span.SetAttributes(about(e)...)
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
			// Somebody else was first: the guard at work, and no fault.
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

// loaded learns the trade's trace, and links the present one to it where that
// is another: of an earlier job, say.
func (l *tracedLedger) loaded(ctx context.Context, trade ledger.Trade, err error) {
	t, _ := ctx.Value(threadKey{}).(*thread)
	if t == nil || err != nil {
		return
	}
	sc := extract(Carrier(trade.Headers))
	if !sc.IsValid() || !t.learn(sc) {
		return
	}
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(attribute.String("capture.trade_id", trade.ID))
	if span.SpanContext().TraceID() != sc.TraceID() {
		span.AddLink(trace.Link{SpanContext: sc})
	}
}
