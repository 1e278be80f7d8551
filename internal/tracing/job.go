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

// system is messaging.system. The conventions define no value for NATS.
var system = semconv.MessagingSystemKey.String("nats")

// maxText bounds texts from outside in a span, in bytes.
const maxText = 256

// Jobs returns the function for worker.Config.Trace, for the deliveries of one
// consumer of a stream.
func (t *Tracing) Jobs(stream, consumer string) func(context.Context, jetstream.Msg) (context.Context, func(worker.Disposition)) {
	if t.tracer == nil {
		return continuePublisher
	}
	same := trace.WithAttributes(
		system, semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName("process"),
		semconv.MessagingConsumerGroupName(consumer), attribute.String("nats.stream", stream),
	)
	return func(ctx context.Context, m jetstream.Msg) (context.Context, func(worker.Disposition)) {
		ctx = withTradeTrace(withPublisher(ctx, m), false)
		// The subject may contain ids, which a span name must not.
		ctx, span := t.tracer.Start(ctx, "process "+stream, trace.WithSpanKind(trace.SpanKindConsumer), same)
		if span.IsRecording() {
			setMessage(span, m)
		}
		return ctx, func(d worker.Disposition) { endJob(span, d) }
	}
}

// continuePublisher continues the publisher's trace without spans.
func continuePublisher(ctx context.Context, m jetstream.Msg) (context.Context, func(worker.Disposition)) {
	return withPublisher(ctx, m), noSpan
}

func noSpan(worker.Disposition) {}

func withPublisher(ctx context.Context, m jetstream.Msg) context.Context {
	if sc := publisherOf(m.Headers(), m.Data()); sc.IsValid() {
		return trace.ContextWithRemoteSpanContext(ctx, sc)
	}
	return ctx
}

func setMessage(span trace.Span, m jetstream.Msg) {
	span.SetAttributes(semconv.MessagingDestinationName(cut(m.Subject())), semconv.MessagingMessageBodySize(len(m.Data())))
	if id := m.Headers().Get(jetstream.MsgIDHeader); id != "" {
		span.SetAttributes(semconv.MessagingMessageID(cut(id)))
	}
	if meta, err := m.Metadata(); err == nil {
		span.SetAttributes(attribute.Int64("nats.stream.sequence", int64(meta.Sequence.Stream)),
			attribute.Int64("nats.deliveries", int64(meta.NumDelivered)))
	}
}

func endJob(span trace.Span, d worker.Disposition) {
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

// cut limits the length of a text from outside and makes it valid UTF-8: a
// collector rejects all spans of a request with an invalid text.
func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "\uFFFD") }
