package worker

import (
	"log/slog"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/ratelog"
)

// pauseQuiet is the interval at which a lasting pause is logged again. An outage
// may take hours, with a probe every few seconds.
const pauseQuiet = 5 * time.Minute

// flapProbes is the number of failed probes after which a pause is logged whose
// start was not, because of similar pauses before.
const flapProbes = 2

// pauseLog logs the pauses of gateway calls: the start at once, a lasting pause at
// intervals, and the end. If calls are paused and resumed repeatedly, it logs only
// some of the pauses. The limiter's lock guards it.
type pauseLog struct {
	log    *slog.Logger
	starts *ratelog.Limiter
	lasts  *ratelog.Limiter // start of the current pause
	since  time.Time
	failed int  // probes
	logged bool // the current pause was logged
}

func newPauseLog(log *slog.Logger) pauseLog {
	return pauseLog{log: log, starts: ratelog.New(pauseQuiet)}
}

func (l *pauseLog) paused(reason, saw string) {
	l.since, l.failed, l.lasts = time.Now(), 0, ratelog.New(pauseQuiet)
	suppressed, worth := l.starts.Allow(reason)
	if l.logged = worth; !worth {
		return
	}
	args := []any{"reason", reason, "saw", saw}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	l.log.Error("job intake paused, probing gateway", args...)
}

func (l *pauseLog) probeFailed(reason, saw string) {
	l.failed++
	log := l.log.Debug
	if l.logged || l.failed >= flapProbes {
		if _, worth := l.lasts.Allow(reason); worth {
			log, l.logged = l.log.Error, true
		}
	}
	log("gateway still unavailable", "reason", reason, "saw", saw,
		"probes", l.failed, "for", time.Since(l.since).Round(time.Second))
}

func (l *pauseLog) resumed(reason string) {
	if !l.logged {
		return
	}
	l.log.Info("job intake resumed, gateway available", "after", reason,
		"probes_failed", l.failed, "for", time.Since(l.since).Round(time.Second))
}

// sawIn describes an answer for the log, without texts of the gateway.
func sawIn(a capture.Answer) string {
	words := []string{strings.ReplaceAll(string(a.Kind), "_", " ")}
	if a.Code != "" {
		words = append(words, "code "+a.Code)
	}
	if a.Why != "" {
		words = append(words, a.Why)
	}
	return strings.Join(words, ", ")
}

// intakeLog logs pauses of the intake: the start at once, a lasting pause at
// intervals, and the end.
type intakeLog struct {
	log   *slog.Logger
	lasts *ratelog.Limiter
}

func newIntakeLog(log *slog.Logger) intakeLog {
	return intakeLog{log: log, lasts: ratelog.New(pauseQuiet)}
}

func (l *intakeLog) paused(p *intakePause) {
	l.lasts = ratelog.New(pauseQuiet)
	_, _ = l.lasts.Allow(p.code) // it is logged now
	l.log.Error("job intake paused, refusals are not counted", "code", p.code, "reason", p.reason,
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
	l.log.Debug("queried a trade that was captured before", "trade_id", tradeID, "saw", sawIn(a))
}
