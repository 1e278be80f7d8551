package tracing

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// LogHandler returns a handler that adds the trace_id of the context to log
// records, and the span_id if the span was created by this process.
func LogHandler(next slog.Handler) slog.Handler { return &logHandler{next} }

type logHandler struct{ slog.Handler }

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	tradeCtx, _ := tradeContext(ctx)
	if sc := trace.SpanContextFromContext(tradeCtx); sc.IsValid() {
		return h.withTrace(ctx, &r, sc)
	}
	return h.Handler.Handle(ctx, r)
}

func (h *logHandler) withTrace(ctx context.Context, record *slog.Record, sc trace.SpanContext) error {
	r := record.Clone()
	r.AddAttrs(slog.String("trace_id", sc.TraceID().String()))
	if !sc.IsRemote() {
		r.AddAttrs(slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.Handler.WithAttrs(attrs)}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.Handler.WithGroup(name)}
}
