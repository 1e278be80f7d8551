package worker_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// An outage of an hour: the first line has what was seen, the same is not logged
// at every probe, and the end is one line.
func TestPauseLogOfAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 4, 0)
		refused := capture.Answer{Kind: capture.AnswerNotSent, Why: "connect: connection refused", Latency: time.Millisecond}
		w.answer.Store(&refused)
		for range 20 {
			w.call(refused)
		}
		time.Sleep(time.Hour)
		w.answer.Store(&useful)
		time.Sleep(10 * time.Second)
		w.close()
		lines := strings.Split(strings.TrimSpace(w.log.String()), "\n")
		if n := len(lines); n > 15 {
			t.Errorf("%d lines in an hour:\n%s", n, w.log.String())
		}
		const why = `saw="not sent, connect: connection refused"`
		if !strings.Contains(lines[0], "job intake paused, probing") || !strings.Contains(lines[0], why) {
			t.Errorf("the first line does not say why: %s", lines[0])
		}
		if second := lines[1]; !strings.Contains(second, "still unavailable") || !strings.Contains(second, why) {
			t.Errorf("the second line: %s", second)
		}
		if last := lines[len(lines)-1]; !strings.Contains(last, "job intake resumed") || !strings.Contains(last, "for=1h0m") || strings.Count(w.log.String(), "level=INFO") != 1 {
			t.Errorf("the end is not one line: %s", last)
		}
	})
}

// The same if a probe fails each time before one passes.
func TestPauseLogWhileFlappingSlowly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 4, 0)
		for range 100 {
			w.answer.Store(&none)
			for range 20 {
				w.call(none)
			}
			for before := w.probes.Load(); w.probes.Load() == before; {
				time.Sleep(time.Millisecond)
			}
			w.answer.Store(&useful)
			if err := w.limiter.WaitResumed(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.close()
		if n := strings.Count(w.log.String(), "\n"); n > 15 {
			t.Errorf("%d lines:\n%s", n, w.log.String())
		}
	})
}

// Queries pass and captures do not: calls are paused and resumed all the time, and
// the log does not follow it. A long outage after that is logged all the same.
func TestPauseLogWhileFlapping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 4, 0)
		for range 100 {
			for range 20 {
				w.call(none)
			}
			if err := w.limiter.WaitResumed(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := strings.Count(w.log.String(), "\n"); n > 10 {
			t.Errorf("%d lines:\n%s", n, w.log.String())
		}
		if !strings.Contains(w.log.String(), "suppressed=") {
			t.Error("it does not say how much was not logged")
		}
		w.answer.Store(&none)
		for range 20 {
			w.call(none)
		}
		time.Sleep(11 * time.Second) // two probes
		w.close()
		if log := w.log.String(); strings.LastIndex(log, "still unavailable") < strings.LastIndex(log, "job intake resumed") {
			t.Errorf("the log ends as if jobs were taken:\n%s", log)
		}
	})
}
