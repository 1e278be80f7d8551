package natsserver

import (
	"context"
	"fmt"
	"log/slog"
)

// logger passes the server's log lines to slog. Its Fatalf does not end the
// process, unlike that of the server's own logger.
type logger struct{ to *slog.Logger }

func newLogger(to *slog.Logger) *logger {
	if to == nil {
		to = slog.New(slog.DiscardHandler)
	}
	return &logger{to.With("component", "nats-server")}
}

func (l *logger) log(level slog.Level, format string, args []any) {
	if ctx := context.Background(); l.to.Enabled(ctx, level) {
		l.to.Log(ctx, level, fmt.Sprintf(format, args...))
	}
}

func (l *logger) Noticef(format string, args ...any) { l.log(slog.LevelDebug, format, args) }
func (l *logger) Warnf(format string, args ...any)   { l.log(slog.LevelWarn, format, args) }
func (l *logger) Fatalf(format string, args ...any)  { l.log(slog.LevelError, format, args) }
func (l *logger) Errorf(format string, args ...any)  { l.log(slog.LevelError, format, args) }
func (l *logger) Debugf(format string, args ...any)  { l.log(slog.LevelDebug, format, args) }
func (l *logger) Tracef(string, ...any)              {}
