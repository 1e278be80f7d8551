package worker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/worker"
)

// intakeWorld is an intake whose gateway knows what the test sets.
type intakeWorld struct {
	t       *testing.T
	intake  *worker.Intake
	guard   worker.IntakeGuard
	ledger  *ledger.Memory
	knows   atomic.Bool // the gateway knows the trades that were captured
	queries atomic.Int64
	accept  atomic.Pointer[map[string]controls.Acceptance]
	stop    context.CancelFunc
	running sync.WaitGroup
}

func newIntakeWorld(t *testing.T, book *ledger.Memory) *intakeWorld {
	w := &intakeWorld{t: t, ledger: book}
	w.knows.Store(true)
	w.accept.Store(&map[string]controls.Acceptance{})
	w.intake = worker.NewIntake(worker.IntakeConfig{
		ProbeEvery: 5 * time.Second, Settle: 45 * time.Second, Ledger: book,
		Query: func(_ context.Context, trade string) capture.Answer {
			w.queries.Add(1)
			if !w.knows.Load() {
				return noSuch
			}
			return capture.Answer{Kind: capture.AnswerDone, Order: &capture.Order{TradeID: trade, State: capture.OrderPaid}}
		},
		Accepted: func(context.Context) (map[string]controls.Acceptance, error) { return *w.accept.Load(), nil },
	})
	w.guard = w.intake.Guard()
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	w.running.Go(func() { w.intake.Run(ctx) })
	synctest.Wait()
	return w
}

func (w *intakeWorld) close() {
	w.stop()
	w.running.Wait()
}

func refused(code string) capture.Answer {
	return capture.Answer{Kind: capture.AnswerRefused, Code: code}
}

// refuse answers captures of n different trades with a code, and returns how many
// of the answers were excused.
func (w *intakeWorld) refuse(prefix, code string, n int) (excused int) {
	for i := range n {
		if w.guard.Observe(w.t.Context(), fmt.Sprintf("%s-%d", prefix, i), capture.ViaCapture, refused(code)) {
			excused++
		}
	}
	return excused
}

func (w *intakeWorld) capture(trade string) {
	w.guard.Observe(w.t.Context(), trade, capture.ViaCapture,
		capture.Answer{Kind: capture.AnswerDone, Order: &capture.Order{TradeID: trade, State: capture.OrderPaid}})
}

// write puts events into the ledger, as another worker does.
func (w *intakeWorld) write(trade string, events ...capture.Event) {
	w.t.Helper()
	var after uint64
	for n, e := range events {
		e.ID, e.TradeID, e.Worker, e.Time = fmt.Sprintf("%s-%d", trade, n), trade, "other", time.Now()
		seq, err := w.ledger.Append(w.t.Context(), e, after)
		if err != nil {
			w.t.Fatal(err)
		}
		after = seq
	}
}

func answered(code string) capture.Event {
	a := refused(code)
	return capture.Event{Type: capture.Answered, Via: capture.ViaCapture, Answer: &a}
}

// intakeTest runs a test in a bubble, over a ledger of its own.
func intakeTest(t *testing.T, test func(*testing.T, *intakeWorld)) {
	synctest.Test(t, func(t *testing.T) {
		w := newIntakeWorld(t, &ledger.Memory{})
		defer w.close()
		test(t, w)
	})
}

func (w *intakeWorld) mustBe(paused bool, when string) {
	w.t.Helper()
	if why := w.intake.PausedFor(); (why != "") != paused {
		w.t.Fatalf("%s: paused for %q, want paused: %t", when, why, paused)
	}
}

func TestIntakeRun(t *testing.T) {
	t.Parallel()
	declined := capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeSuccess, Order: &capture.Order{State: capture.OrderDeclined}}
	for name, tt := range map[string]struct {
		meet func(*intakeWorld)
		want bool
	}{
		"nineteen":         {func(w *intakeWorld) { w.refuse("a", capture.CodeTradeID, 19) }, false},
		"twenty":           {func(w *intakeWorld) { w.refuse("a", capture.CodeTradeID, 20) }, true},
		"one trade, often": {func(w *intakeWorld) { w.refuse("a", capture.CodeTradeID, 1); w.refuse("a", capture.CodeTradeID, 1) }, false},
		"a capture between": {func(w *intakeWorld) {
			w.refuse("a", capture.CodeTradeID, 19)
			w.capture("T")
			w.refuse("b", capture.CodeTradeID, 19)
		}, false},
		"different codes": {func(w *intakeWorld) {
			w.refuse("a", capture.CodeTradeID, 19)
			w.refuse("b", capture.CodeAmountExceeded, 19)
		}, false},
		"the order's state": {func(w *intakeWorld) { w.meet(100, declined) }, false},
		"-1000": {func(w *intakeWorld) {
			w.meet(100, capture.Answer{Kind: capture.AnswerUnknown, Code: capture.CodeInternal})
		}, false},
		"two bad requests":   {func(w *intakeWorld) { w.refuse("a", capture.CodeFieldMissing, 2) }, false},
		"three bad requests": {func(w *intakeWorld) { w.refuse("a", capture.CodeFieldMissing, 3) }, true},
		"not in a row": {func(w *intakeWorld) {
			w.refuse("a", capture.CodeFieldMissing, 2)
			w.refuse("b", capture.CodeTradeID, 1)
			w.refuse("c", capture.CodeFieldMissing, 2)
		}, false},
		"bad although proved":  {func(w *intakeWorld) { w.capture("T"); w.refuse("a", capture.CodeFieldMissing, 3) }, true},
		"dead, account proved": {func(w *intakeWorld) { w.capture("T"); w.refuse("a", capture.CodeTradeID, 1000) }, false},
		"wrong account": {func(w *intakeWorld) {
			w.capture("T")
			w.knows.Store(false)
			time.Sleep(2 * time.Minute)
			w.refuse("a", capture.CodeTradeID, 20)
		}, true},
		"queries too": {func(w *intakeWorld) {
			for i := range 20 {
				w.guard.Observe(w.t.Context(), fmt.Sprintf("q%d", i), capture.ViaQuery, noSuch)
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			intakeTest(t, func(t *testing.T, w *intakeWorld) {
				tt.meet(w)
				w.mustBe(tt.want, "after it")
				if got := w.guard.Observe(t.Context(), "later", capture.ViaCapture, none); got != tt.want {
					t.Errorf("the next answer is excused: %t", got)
				}
				if err := w.guard.Admit("another"); (err != nil) != tt.want {
					t.Errorf("Admit: %v", err)
				}
			})
		})
	}
}

func (w *intakeWorld) meet(n int, a capture.Answer) {
	for i := range n {
		w.guard.Observe(w.t.Context(), fmt.Sprintf("m%d", i), capture.ViaCapture, a)
	}
}

// Ten thousand dead authorizations: the account is proved once a minute, and no
// answer is excused.
func TestIntakeAsksOnceAMinute(t *testing.T) {
	t.Parallel()
	intakeTest(t, func(t *testing.T, w *intakeWorld) {
		w.capture("T")
		time.Sleep(2 * time.Minute)
		for i := range 10 {
			if n := w.refuse(fmt.Sprintf("dead%d", i), capture.CodeTradeID, 1000); n > 0 {
				t.Fatalf("%d answers were excused", n)
			}
			time.Sleep(20 * time.Second)
		}
		if n := w.queries.Load(); n < 3 || n > 4 {
			t.Errorf("%d queries in 200 s, want one a minute", n)
		}
	})
}

// The wrong account: intake stops, and continues within a probe interval of the
// right one.
func TestIntakeResumesByItself(t *testing.T) {
	t.Parallel()
	intakeTest(t, func(t *testing.T, w *intakeWorld) {
		w.capture("T")
		time.Sleep(2 * time.Minute)
		w.knows.Store(false)
		w.refuse("a", capture.CodeTradeID, 20)
		w.mustBe(true, "at the wrong account")
		time.Sleep(time.Hour)
		w.mustBe(true, "an hour later")
		w.knows.Store(true)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		w.mustBe(false, "at the right account")
	})
}

func TestIntakeIsResumedByAnOperator(t *testing.T) {
	t.Parallel()
	intakeTest(t, func(t *testing.T, w *intakeWorld) {
		w.refuse("a", capture.CodeTradeID, 20)
		w.mustBe(true, "after the run")
		w.accept.Store(&map[string]controls.Acceptance{capture.CodeAmountExceeded: {By: "ops", Until: time.Now().Add(time.Hour)}})
		time.Sleep(10 * time.Second)
		w.mustBe(true, "with another code accepted")
		w.accept.Store(&map[string]controls.Acceptance{capture.CodeTradeID: {By: "ops", Until: time.Now().Add(time.Hour)}})
		time.Sleep(10 * time.Second)
		w.mustBe(false, "with the code accepted")
		if n := w.refuse("b", capture.CodeTradeID, 100); n > 0 {
			t.Errorf("%d refusals with an accepted code were excused", n)
		}
		time.Sleep(time.Hour)
		w.refuse("c", capture.CodeTradeID, 20)
		w.mustBe(true, "when the time is over")
	})
}

// Several workers and a restart neither multiply nor forget the run.
func TestIntakeReadsTheLedger(t *testing.T) {
	t.Parallel()
	t.Run("of other workers", func(t *testing.T) {
		t.Parallel()
		intakeTest(t, func(t *testing.T, w *intakeWorld) {
			for i := range 15 {
				w.write(fmt.Sprintf("o%d", i), answered(capture.CodeTradeID))
			}
			w.refuse("a", capture.CodeTradeID, 5)
			w.mustBe(true, "fifteen there, five here")
		})
	})
	t.Run("a capture of another worker", func(t *testing.T) {
		t.Parallel()
		intakeTest(t, func(t *testing.T, w *intakeWorld) {
			w.refuse("a", capture.CodeTradeID, 14)
			time.Sleep(time.Second)
			w.write("good", capture.Event{Type: capture.Captured, Via: capture.ViaCapture})
			time.Sleep(time.Second)
			w.refuse("b", capture.CodeTradeID, 6)
			w.mustBe(false, "no run without a capture between")
		})
	})
	t.Run("another worker captures while paused", func(t *testing.T) {
		t.Parallel()
		intakeTest(t, func(t *testing.T, w *intakeWorld) {
			w.refuse("a", capture.CodeFieldMissing, 3)
			w.mustBe(true, "three bad requests")
			time.Sleep(time.Second)
			w.write("good", capture.Event{Type: capture.Captured, Via: capture.ViaCapture})
			time.Sleep(5 * time.Second)
			synctest.Wait()
			w.mustBe(false, "after a capture elsewhere")
		})
	})
	t.Run("after a restart", func(t *testing.T) {
		t.Parallel()
		intakeTest(t, func(t *testing.T, w *intakeWorld) {
			for i := range 20 {
				w.write(fmt.Sprintf("o%d", i), answered(capture.CodeTradeID))
			}
			again := newIntakeWorld(t, w.ledger)
			defer again.close()
			again.mustBe(true, "at the start")
		})
	})
	t.Run("after a restart, a captured trade is known", func(t *testing.T) {
		t.Parallel()
		intakeTest(t, func(t *testing.T, w *intakeWorld) {
			w.write("good", capture.Event{Type: capture.Captured, Via: capture.ViaCapture})
			time.Sleep(time.Hour)
			for i := range 20 {
				w.write(fmt.Sprintf("o%d", i), answered(capture.CodeTradeID))
			}
			again := newIntakeWorld(t, w.ledger)
			defer again.close()
			again.mustBe(false, "at the start")
			if n := again.queries.Load(); n != 1 {
				t.Errorf("%d queries about it", n)
			}
		})
	})
}

// A trickle at the wrong account is never a run, and fails none either.
func TestIntakeMayFail(t *testing.T) {
	t.Parallel()
	intakeTest(t, func(t *testing.T, w *intakeWorld) {
		may := func(since time.Time) bool { return w.guard.MayFail(t.Context(), capture.CodeTradeID, since) }
		if !may(time.Now()) {
			t.Error("a single trade, and no captured one known: nothing speaks against it")
		}
		w.refuse("a", capture.CodeTradeID, 2)
		if may(time.Now()) {
			t.Error("two trades, just now: it may become a run")
		}
		time.Sleep(time.Minute)
		if !may(time.Now().Add(-time.Minute)) {
			t.Error("it did not become a run")
		}
		w.capture("T")
		time.Sleep(time.Hour)
		before := time.Now()
		if !may(before) || w.queries.Load() != 1 {
			t.Errorf("the gateway knows the captured trade, asked %d times", w.queries.Load())
		}
		time.Sleep(time.Hour)
		w.knows.Store(false)
		if may(before) {
			t.Error("it does not know the captured trade")
		}
		w.mustBe(true, "after that")
	})
}

func TestIntakeSaysWhy(t *testing.T) {
	t.Parallel()
	intakeTest(t, func(t *testing.T, w *intakeWorld) {
		w.refuse("a", capture.CodeTradeID, 20)
		if why := w.intake.PausedFor(); !strings.Contains(why, capture.CodeTradeID) || !strings.Contains(why, "gateway.user") {
			t.Errorf("%q does not name the code and the setting", why)
		}
	})
}
