package worker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/worker"
)

// The first call of a trade asks first if its job was delivered before, or if the
// ledger may have lost events (rule 2).
func TestFirstCallAsksFirst(t *testing.T) {
	t.Parallel()
	const a, q, c = capture.Attempted, capture.Queried, capture.Captured
	for name, tt := range map[string]struct {
		first, behind bool
		want          []capture.EventType
	}{
		"first delivery":                {true, false, []capture.EventType{a, c}},
		"redelivered":                   {false, false, []capture.EventType{q, a, c}},
		"first, the ledger is behind":   {true, true, []capture.EventType{q, a, c}},
		"redelivered, and it is behind": {false, true, []capture.EventType{q, a, c}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p := w.processor("w1")
				p.AskSince = func() time.Time {
					if tt.behind {
						return time.Now().Add(-time.Hour)
					}
					return time.Time{}
				}
				if d := w.redeliver(p, job, tt.first); d.Do != worker.Ack {
					t.Errorf("%+v", d)
				}
				if got := w.types("T1"); !slices.Equal(got, tt.want) {
					t.Errorf("events %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// The gateway took the money, and the ledger that knew of it is lost: the job that
// is redelivered is captured by what the query shows, and no call is made.
func TestLostLedgerCapturesNothingTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.gateway.effects["T1"] = sum("24.99")
		w.redeliver(w.processor("w1"), job, false)
		if got := w.types("T1"); !slices.Equal(got, []capture.EventType{capture.Captured}) || len(w.gateway.captures["T1"]) != 0 {
			t.Errorf("events %v, %d capture calls", got, len(w.gateway.captures["T1"]))
		}
	})
}

// A trade_id in the form of a UUID is one trade in any letter case: one ledger,
// and the gateway gets it as the first job wrote it (rule 7).
func TestOneTradeInAnyLetterCase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const lower = "160899f3-f6d9-a8d8-ab5b-82eacdab9c5b"
		upper := strings.ToUpper(lower)
		w := newWorld(t)
		w.gateway.script = []string{"-1000 before"} // so that it is asked about, too
		p := w.processor("w1")
		w.redeliver(p, strings.Replace(job, "T1", upper, 1), true)
		if d := w.redeliver(p, strings.Replace(job, "T1", lower, 1), true); d.Do != worker.Ack {
			t.Errorf("the second spelling: %+v", d)
		}
		if got := w.types(lower); len(got) == 0 || got[len(got)-1] != capture.Captured {
			t.Errorf("events of the trade: %v", got)
		}
		if got := w.types(upper); len(got) != 0 {
			t.Errorf("events under another name: %v", got)
		}
		if len(w.gateway.captures[upper]) != 2 || len(w.gateway.captures[lower]) != 0 || w.gateway.asked[lower] != 0 {
			t.Errorf("the gateway was called as %v and asked as %v", w.gateway.captures, w.gateway.asked)
		}
	})
}

// A gateway that asks not to be called is not called by anyone until then, and for
// five minutes at most (rule 10).
func TestLimiterObeysRetryAfter(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ asked, want time.Duration }{
		"a minute": {time.Minute, time.Minute}, "a day": {24 * time.Hour, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newLimiterWorld(t, 4, 0)
				defer w.close()
				begin := time.Now()
				w.call(capture.Answer{Kind: capture.AnswerUnknown, HTTPStatus: 429, RetryAfter: tt.asked})
				if _, err := w.limiter.Acquire(t.Context()); !errors.Is(err, worker.ErrPaused) || !strings.Contains(err.Error(), "Retry-After") {
					t.Errorf("Acquire: %v, want ErrPaused with the reason", err)
				}
				if w.limiter.KeyRefused() || !w.limiter.Down() {
					t.Errorf("halted: %t, down: %t", w.limiter.KeyRefused(), w.limiter.Down())
				}
				if err := w.limiter.WaitResumed(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took < tt.want || took > tt.want+5*time.Second {
					t.Errorf("open after %s, want %s", took, tt.want)
				}
				if n := w.probes.Load(); n != 0 {
					t.Errorf("%d probes meanwhile", n)
				}
			})
		})
	}
}

// An outage that begins while the gateway asked not to be called is probed for as
// any other, once the time is over.
func TestLimiterProbesAfterRetryAfterInAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 32, 0)
		defer w.close()
		w.answer.Store(&none)
		asked := make(chan struct{})
		for range 20 { // calls that were under way
			go callThrough(t.Context(), w.limiter, func(context.Context) capture.Answer { <-asked; return none })
		}
		synctest.Wait()
		w.call(capture.Answer{Kind: capture.AnswerUnknown, HTTPStatus: 503, RetryAfter: time.Minute})
		close(asked)
		time.Sleep(50 * time.Second)
		if n := w.probes.Load(); n != 0 {
			t.Errorf("%d probes before the time was over", n)
		}
		time.Sleep(30 * time.Second)
		if w.limiter.PausedFor() == "" || w.probes.Load() == 0 {
			t.Errorf("paused for %q after %d probes, want probes that fail", w.limiter.PausedFor(), w.probes.Load())
		}
	})
}

// A refused trade gives way to fresh jobs, as many as there are; any other waits
// inside as it always does.
func TestRefusedTradesGiveWay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		script string
		fresh  int
		least  time.Duration // 0: it ends in one delivery
		most   time.Duration
	}{
		"refused, nothing fresh":     {"-4084", 0, 0, 0},
		"refused, a thousand fresh":  {"-4084", 1000, 10 * time.Second, 10 * time.Second},
		"refused, a million fresh":   {"-4084", 1_000_000, 2 * time.Minute, 2 * time.Minute},
		"an error, a thousand fresh": {"-1000 before", 1000, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.gateway.script = []string{tt.script}
				d := w.processor("w1").Process(t.Context(), t.Context(), worker.Delivery{Body: []byte(job), First: true, Fresh: tt.fresh})
				if tt.least == 0 && d.Do != worker.Ack {
					t.Errorf("%+v, want an ack", d)
				}
				if wait := time.Until(d.At); tt.least > 0 && (d.Do != worker.Retry || wait < tt.least || wait > tt.most) {
					t.Errorf("%s in %s, want later in %s", d.Do, wait, tt.least)
				}
			})
		})
	}
}
