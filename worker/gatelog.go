package worker

import (
	"log/slog"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/ratelog"
)

// gateQuiet is how long the same about the gate is not said again. An outage
// takes hours, and a probe is made every few seconds.
const gateQuiet = 5 * time.Minute

// flapProbes is how many probes in a row have to fail for a stop that was not
// told of, since it looked like the ones before, to be told of after all.
const flapProbes = 2

// gateLog tells of a gate that shuts and opens: why at once, that it lasts now
// and then, its end in one line. Where it flaps, it tells of one time in many.
// The gate's lock guards it.
type gateLog struct {
	log    *slog.Logger
	stops  *ratelog.Limiter
	lasts  *ratelog.Limiter // of the present time
	since  time.Time
	failed int  // probes
	told   bool // of the present time
}

func newGateLog(log *slog.Logger) gateLog {
	return gateLog{log: log, stops: ratelog.New(gateQuiet)}
}

func (l *gateLog) shut(reason, saw string) {
	l.since, l.failed, l.lasts = time.Now(), 0, ratelog.New(gateQuiet)
	unsaid, worth := l.stops.Allow(reason)
	if l.told = worth; !worth {
		return
	}
	args := []any{"reason", reason, "saw", saw}
	if unsaid > 0 {
		args = append(args, "suppressed", unsaid)
	}
	l.log.Error("stopped taking jobs; probing with Order Query until it passes", args...)
}

func (l *gateLog) probed(reason, saw string) {
	l.failed++
	say := l.log.Debug
	if l.told || l.failed >= flapProbes {
		if _, worth := l.lasts.Allow(reason); worth {
			say, l.told = l.log.Error, true
		}
	}
	say("the gateway is still not usable", "reason", reason, "saw", saw,
		"probes", l.failed, "for", time.Since(l.since).Round(time.Second))
}

func (l *gateLog) opened(reason string) {
	if !l.told {
		return
	}
	l.log.Info("taking jobs again: a probe of the gateway passed", "after", reason,
		"probes_failed", l.failed, "for", time.Since(l.since).Round(time.Second))
}

// sawIn is what an answer showed, for the log: no text of the gateway's own
// that the client does not vouch for.
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
