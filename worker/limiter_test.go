package worker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/worker"
)

// limiterWorld is a limiter in front of a gateway whose answers the test sets.
type limiterWorld struct {
	limiter *worker.GatewayLimiter
	answer  atomic.Pointer[capture.Answer]
	probes  atomic.Int64
	stop    context.CancelFunc
	running sync.WaitGroup
	log     bytes.Buffer // read it when the limiter is idle
}

var (
	useful = capture.Answer{Kind: capture.AnswerDone, Order: &capture.Order{TradeID: "T1", State: capture.OrderPaid}}
	none   = capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout"}
	noKey  = capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeSignature}
	noSuch = capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeTradeID}
)

// slotWait is how long a call waits for its slot.
const slotWait = 30 * time.Second

func newLimiterWorld(t *testing.T, concurrency int, rate float64) *limiterWorld {
	w := &limiterWorld{}
	w.answer.Store(&useful)
	w.limiter = worker.NewGatewayLimiter(worker.GatewayLimiterConfig{
		Concurrency: concurrency, Rate: rate, ProbeEvery: 5 * time.Second, SlotWait: slotWait, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Query: func(context.Context, string) capture.Answer {
			w.probes.Add(1)
			return *w.answer.Load()
		},
	})
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	w.running.Go(func() { w.limiter.Run(ctx) })
	return w
}

func (w *limiterWorld) close() {
	w.stop()
	w.running.Wait()
}

func (w *limiterWorld) call(a capture.Answer) capture.Answer {
	return callThrough(context.Background(), w.limiter, func(context.Context) capture.Answer { return a })
}

func TestLimiterPausesAtOnceWhenOurKeyIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 4, 0)
		defer w.close()
		w.answer.Store(&noKey)
		w.call(noKey)
		if _, err := w.limiter.Acquire(t.Context()); !errors.Is(err, worker.ErrPaused) || !strings.Contains(err.Error(), "gateway.secret_key") {
			t.Fatalf("Acquire: %v, want ErrPaused that names the setting", err)
		}
		if a := w.call(useful); a.Kind != capture.AnswerNotSent {
			t.Errorf("a call while paused was answered %+v, want not sent", a)
		}
		time.Sleep(17 * time.Second)
		if n := w.probes.Load(); n != 3 {
			t.Errorf("%d probes in 17 s, want one every 5 s", n)
		}
		// The right key appears: any answer about the trade passes.
		w.answer.Store(&noSuch)
		begin := time.Now()
		if err := w.limiter.WaitResumed(t.Context()); err != nil || time.Since(begin) > 5*time.Second {
			t.Errorf("WaitResumed: %v after %s, want it open within a probe interval", err, time.Since(begin))
		}
		if leave, err := w.limiter.Acquire(t.Context()); err != nil {
			t.Errorf("Acquire while calls pass: %v", err)
		} else {
			leave()
		}
	})
}

// A signature may be refused for the bytes of one trade alone. The others do not
// wait for it longer than a probe takes.
func TestLimiterOneTradeIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 4, 0)
		defer w.close()
		begin := time.Now()
		for range 3 {
			for range 20 * 4 {
				w.call(useful)
			}
			w.call(noKey)
			if err := w.limiter.WaitResumed(t.Context()); err != nil || time.Since(begin) > 0 {
				t.Fatalf("WaitResumed: %v after %s, want it open as soon as a probe passed", err, time.Since(begin))
			}
		}
		if n := w.probes.Load(); n != 3 {
			t.Errorf("%d probes, want one for each refusal", n)
		}
	})
}

// Calls that were not tried, or that a stop cut off, say nothing about the
// gateway, one way or the other.
func TestLimiterIgnoresAbandonedCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 4, 0)
		defer w.close()
		overdue := capture.Answer{Kind: capture.AnswerNotSent, Why: "the deadline was over"}
		stopping, stop := context.WithCancel(t.Context())
		stop()
		for range 100 {
			w.call(overdue)
			callThrough(stopping, w.limiter, func(context.Context) capture.Answer { return none })
		}
		if why := w.limiter.PausedFor(); why != "" {
			t.Fatalf("paused: %s", why)
		}
		for range 30 {
			w.call(overdue)
			w.call(none)
		}
		if w.limiter.PausedFor() == "" {
			t.Error("thirty calls hung among those not tried, and it is open")
		}
	})
}

// Every capture is refused, and Order Query is answered: probes pass, and each
// lets some calls out. It must not become a flood, nor look like a gateway that
// works.
func TestLimiterEveryCaptureIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 4, 0)
		defer w.close()
		var refused, halted atomic.Int64
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var jobs sync.WaitGroup
		for range 8 {
			jobs.Go(func() {
				for w.limiter.WaitResumed(ctx) == nil {
					callThrough(ctx, w.limiter, func(context.Context) capture.Answer { time.Sleep(20 * time.Millisecond); return useful }) // the query before
					callThrough(ctx, w.limiter, func(context.Context) capture.Answer {
						time.Sleep(20 * time.Millisecond)
						refused.Add(1)
						return noKey
					})
				}
			})
		}
		tick := time.NewTicker(15 * time.Second)
		defer tick.Stop()
		for range 39 {
			<-tick.C
			time.Sleep(time.Second) // not in step with the probes
			if w.limiter.KeyRefused() {
				halted.Add(1)
			}
		}
		cancel()
		jobs.Wait()
		if n := refused.Load(); n > 120*8 {
			t.Errorf("%d captures were refused in ten minutes, want about one for each slot every 5 s", n)
		}
		if n := halted.Load(); n < 38 {
			t.Errorf("halted at %d of 39 looks", n)
		}
	})
}

func TestLimiterPausesWhenTheGatewayIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 4, 0)
		defer w.close()
		w.answer.Store(&none)
		calls := 0
		for ; w.limiter.PausedFor() == "" && calls < 1000; calls++ {
			w.call(none)
		}
		if calls != 20 {
			t.Errorf("it took %d useless answers in a row, want 20", calls)
		}
		time.Sleep(time.Hour)
		if w.limiter.PausedFor() == "" {
			t.Error("it opened while the gateway was down")
		}
		if n := w.probes.Load(); n < 300 || n > 720 {
			t.Errorf("%d probes in an hour of outage, want about one every 5 s", n)
		}
		w.answer.Store(&useful)
		time.Sleep(10 * time.Second)
		if reason := w.limiter.PausedFor(); reason != "" {
			t.Errorf("still paused 10 s after the gateway came back: %s", reason)
		}
	})
}

// One job in a quiet night: the pauses between queries grow, and the limiter does
// not wait for twenty answers. One trade that the gateway fails on keeps it paused
// for one probe.
func TestLimiterPausesInAQuietNight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 4, 0)
		defer w.close()
		w.call(useful)
		for _, pause := range []time.Duration{0, 500 * time.Millisecond, 4 * time.Second, 40 * time.Second} {
			time.Sleep(pause)
			w.call(none)
			if why := w.limiter.PausedFor(); why != "" {
				t.Fatalf("paused within a minute after %s: %s", pause, why)
			}
		}
		time.Sleep(30 * time.Second)
		w.answer.Store(&none)
		w.call(none)
		if w.limiter.PausedFor() == "" {
			t.Fatal("no useful answer for more than a minute, and it is open")
		}
		time.Sleep(time.Minute)
		w.answer.Store(&useful)
		begin := time.Now()
		if err := w.limiter.WaitResumed(t.Context()); err != nil || time.Since(begin) > 5*time.Second {
			t.Errorf("WaitResumed: %v after %s, want it open within a probe interval", err, time.Since(begin))
		}
		// A useful answer between them: they are no silence.
		for range 10 {
			w.call(none)
			time.Sleep(40 * time.Second)
			w.call(useful)
		}
		if why := w.limiter.PausedFor(); why != "" {
			t.Errorf("paused beside useful answers: %s", why)
		}
	})
}

// An unknown code may be that of a maintenance: many in a row pause the limiter,
// which reports what the gateway answers. If queries are answered the gateway
// works, whatever it answers to captures.
func TestLimiterNamesAnUnknownCode(t *testing.T) {
	t.Parallel()
	unlisted := func(code string) capture.Answer {
		return capture.Answer{Kind: capture.AnswerUnknown, Code: code, Why: "code " + code}
	}
	for name, tt := range map[string]struct {
		answers []capture.Answer // one after the other, again and again
		want    string
	}{
		"one code":          {[]capture.Answer{unlisted("-9001")}, "the gateway gives no useful answers: all its answers have code -9001"},
		"internal errors":   {[]capture.Answer{unlisted(capture.CodeInternal)}, "the gateway gives no useful answers: all its answers have code -1000"},
		"several codes":     {[]capture.Answer{unlisted("-9001"), unlisted("-9002")}, "the gateway gives no useful answers"},
		"timeouts between":  {[]capture.Answer{unlisted("-9001"), none}, "the gateway gives no useful answers"},
		"queries answered":  {[]capture.Answer{unlisted("-9001"), useful}, ""},
		"one trade's words": {[]capture.Answer{unlisted("-9001"), noSuch, noSuch}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newLimiterWorld(t, 4, 0)
				defer w.close()
				w.answer.Store(&tt.answers[0])
				for i := range 60 {
					w.call(tt.answers[i%len(tt.answers)])
				}
				got := w.limiter.PausedFor()
				if got != tt.want {
					t.Fatalf("paused for %q, want %q", got, tt.want)
				}
				// Probes with the same answer neither end the pause nor change the reason.
				time.Sleep(time.Minute)
				if later := w.limiter.PausedFor(); later != got {
					t.Errorf("a minute later: %q, want %q", later, got)
				}
				w.answer.Store(&useful)
				time.Sleep(15 * time.Second)
				if got := w.limiter.PausedFor(); got != "" {
					t.Errorf("still paused: %s", got)
				}
			})
		})
	}
}

// A bad day is not an outage: a third of useless answers must not stop us.
func TestLimiterDoesNotPauseOnABadDay(t *testing.T) {
	t.Parallel()
	w := newLimiterWorld(t, 4, 0)
	defer w.close()
	for i := range 3000 {
		if a := none; i%3 == 0 {
			w.call(a)
		} else {
			w.call(useful)
		}
	}
	if reason := w.limiter.PausedFor(); reason != "" {
		t.Errorf("paused: %s", reason)
	}
}

func TestLimiterCountsCallsNotJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 3, 0)
		defer w.close()
		var flying, most atomic.Int64
		var calls sync.WaitGroup
		for range 30 {
			calls.Go(func() {
				callThrough(t.Context(), w.limiter, func(context.Context) capture.Answer {
					most.Store(max(most.Load(), flying.Add(1)))
					time.Sleep(time.Second)
					flying.Add(-1)
					return useful
				})
			})
		}
		calls.Wait()
		if most.Load() != 3 {
			t.Errorf("%d calls were in flight at once, want 3", most.Load())
		}
		// Twice as many may be announced; the next one waits for a turn.
		for range 6 {
			if _, err := w.limiter.Acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := w.limiter.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a seventh turn: %v, want it to wait", err)
		}
	})
}

// A call that finds no free slot before its lease ends was not sent.
func TestLimiterCallThatCannotBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 1, 0)
		defer w.close()
		hold := make(chan struct{})
		var holder sync.WaitGroup
		holder.Go(func() {
			callThrough(t.Context(), w.limiter, func(context.Context) capture.Answer { <-hold; return useful })
		})
		synctest.Wait()
		for name, c := range map[string]struct{ bound, want time.Duration }{
			"its context ends":        {time.Second, time.Second},
			"the slot's wait is over": {time.Hour, slotWait},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), c.bound)
			begin := time.Now()
			a := callThrough(ctx, w.limiter, func(context.Context) capture.Answer { t.Error("it was sent"); return useful })
			cancel()
			if took := time.Since(begin); a.Kind != capture.AnswerNotSent || a.Why == "" || took != c.want {
				t.Errorf("%s: %+v after %s, want not sent and why after %s", name, a, took, c.want)
			}
		}
		close(hold)
		holder.Wait()
	})
}

func TestLimiterKeepsTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 64, 10)
		defer w.close()
		begin := time.Now()
		for range 101 {
			leave, err := w.limiter.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			leave()
		}
		if took := time.Since(begin); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("101 turns at 10 a second took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := w.limiter.Acquire(ctx); err == nil {
			t.Error("a turn beyond the rate was given although its context ended before")
		}
	})
}

// Calls that hang to their timeout are few in any short window, and are taken
// for what they are all the same.
func TestLimiterPausesWhenCallsHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLimiterWorld(t, 4, 0)
		defer w.close()
		w.answer.Store(&none)
		for range 3 {
			if w.limiter.PausedFor() != "" {
				t.Fatal("paused too early")
			}
			time.Sleep(30 * time.Second)
			w.call(none)
		}
		if w.limiter.PausedFor() == "" {
			t.Error("three calls in a row hung, for more than a minute, and calls pass")
		}
	})
}
