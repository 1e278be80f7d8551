package tracing

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/capture-worker/capture-worker/worker"
)

// system is messaging.system; the conventions list no value for NATS.
var system = semconv.MessagingSystemKey.String("nats")

// maxText bounds what others chose and a span repeats.
const maxText = 256

// Jobs returns what a worker.Config's Trace wants, for the deliveries of one
// consumer of a stream.
func (t *Tracing) Jobs(stream, consumer string) func(context.Context, jetstream.Msg) (context.Context, func(worker.Disposition)) {
	if t.tracer == nil {
		return handOn
	}
	same := trace.WithAttributes(
		system, semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName("process"),
		semconv.MessagingConsumerGroupName(consumer), attribute.String("nats.stream", stream),
	)
	return func(ctx context.Context, m jetstream.Msg) (context.Context, func(worker.Disposition)) {
		ctx = withTradeTrace(withPublisher(ctx, m), false)
		// The subject may hold ids; the name of a span must not.
		ctx, span := t.tracer.Start(ctx, "process "+stream, trace.WithSpanKind(trace.SpanKindConsumer), same)
		if span.IsRecording() {
			describe(span, m)
		}
		return ctx, func(d worker.Disposition) { disposed(span, d) }
	}
}

// handOn is Jobs where no spans are made.
func handOn(ctx context.Context, m jetstream.Msg) (context.Context, func(worker.Disposition)) {
	return withPublisher(ctx, m), forget
}

func forget(worker.Disposition) {}

func withPublisher(ctx context.Context, m jetstream.Msg) context.Context {
	if sc := publisherOf(m.Headers(), m.Data()); sc.IsValid() {
		return trace.ContextWithRemoteSpanContext(ctx, sc)
	}
	return ctx
}

func describe(span trace.Span, m jetstream.Msg) {
	span.SetAttributes(semconv.MessagingDestinationName(cut(m.Subject())), semconv.MessagingMessageBodySize(len(m.Data())))
	if id := m.Headers().Get(jetstream.MsgIDHeader); id != "" {
		span.SetAttributes(semconv.MessagingMessageID(cut(id)))
	}
	if meta, err := m.Metadata(); err == nil {
		span.SetAttributes(attribute.Int64("nats.stream.sequence", int64(meta.Sequence.Stream)),
			attribute.Int64("nats.deliveries", int64(meta.NumDelivered)))
	}
}

func disposed(span trace.Span, d worker.Disposition) {
	span.SetAttributes(attribute.String("capture.verb", string(d.Do)))
	if d.Rule != "" {
		span.SetAttributes(attribute.String("capture.rule", d.Rule))
	}
	if d.Do == worker.DeadLetter {
		span.SetAttributes(semconv.ErrorTypeKey.String(d.Reason))
		span.SetStatus(codes.Error, "dead-lettered: "+d.Reason)
	}
	span.End()
}

// cut bounds a text that came from outside. The collector refuses all spans of a
// request in which one text is no UTF-8.
func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "\uFFFD") }
