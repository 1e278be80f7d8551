package tracing

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// LogHandler adds trace_id to what is logged under a context of a trace, and
// span_id where the span is one of ours.
func LogHandler(next slog.Handler) slog.Handler { return &logHandler{next} }

type logHandler struct{ slog.Handler }

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	placed, _ := tradeContext(ctx)
	if sc := trace.SpanContextFromContext(placed); sc.IsValid() {
		return h.placed(ctx, &r, sc)
	}
	return h.Handler.Handle(ctx, r)
}

func (h *logHandler) placed(ctx context.Context, said *slog.Record, sc trace.SpanContext) error {
	r := said.Clone()
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
