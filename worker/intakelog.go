package worker

import (
	"log/slog"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/ratelog"
)

// intakeLog logs that the intake is paused and resumed: why at once, that it
// lasts now and then.
type intakeLog struct {
	log   *slog.Logger
	lasts *ratelog.Limiter
}

func newIntakeLog(log *slog.Logger) intakeLog {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return intakeLog{log: log, lasts: ratelog.New(gateQuiet)}
}

func (l *intakeLog) paused(p *intakePause) {
	l.lasts = ratelog.New(gateQuiet)
	_, _ = l.lasts.Allow(p.code) // said now
	l.log.Error("job intake paused; no refusal counts against a trade", "code", p.code, "reason", p.reason,
		"trades", len(p.tried), "resume", "by itself, or with `capture-worker resume --code "+p.code+"`")
}

func (l *intakeLog) still(p *intakePause) {
	if _, worth := l.lasts.Allow(p.code); worth {
		l.log.Error("job intake still paused", "code", p.code, "reason", p.reason, "trades", len(p.tried),
			"for", time.Since(p.since).Round(time.Second))
	}
}

func (l *intakeLog) resumed(p *intakePause, why string) {
	l.log.Info("job intake resumed", "code", p.code, "because", why, "for", time.Since(p.since).Round(time.Second))
}

func (l *intakeLog) asked(tradeID string, a capture.Answer) {
	l.log.Debug("asked about a trade that was captured before", "trade_id", tradeID, "saw", sawIn(a))
}
