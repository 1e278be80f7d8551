package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/worker"
)

// lateWorld is the worker's code against the simulator, in simulated time.
type lateWorld struct {
	*world
	sim     *gatewaytest.Simulator
	gateway *simGateway
}

// newLateWorld begins a simulator in the bubble; close ends it.
func newLateWorld(t *testing.T, o gatewaytest.Options) *lateWorld {
	o.User, o.Secret, o.AllowEmptyNotifyURL = simUser, simSecret, true
	w := &lateWorld{world: newWorld(t), sim: gatewaytest.New(o)}
	w.gateway = &simGateway{sim: w.sim, timeout: 30 * time.Second}
	return w
}

func (w *lateWorld) worker(name string) *worker.Processor {
	p := w.processor(name)
	p.Gateway = w.gateway
	return p
}

// authorize adds a trade of 30.00 and returns a job that captures 24.99 of it.
func (w *lateWorld) authorize(trade string, expires time.Time, script ...gatewaytest.Step) (job string) {
	w.t.Helper()
	authorized, err := capture.ParseAmount("30.00", "EUR")
	if err == nil {
		err = w.sim.AddTrades(gatewaytest.Trade{TradeID: trade, Amount: authorized, Script: script, ExpiresAt: expires})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	before := ""
	if !expires.IsZero() {
		before = fmt.Sprintf(`,"capture_before":%q`, expires.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf(`{"trade_id":%q,"amount":"24.99","currency":"EUR","authorized_amount":"30.00"%s}`, trade, before)
}

// truth is what the simulator knows, and its calls.
func (w *lateWorld) truth(trade string) (audit.Truth, []gatewaytest.Call) {
	seen, ok := w.sim.Truth(trade)
	if !ok {
		w.t.Fatalf("the simulator lost trade %s", trade)
	}
	truth := audit.Truth{TradeID: trade, State: seen.Now}
	for _, c := range seen.Captures {
		truth.Captures = append(truth.Captures, audit.Capture{Amount: c.Amount, RequestID: c.RequestID, At: c.At})
	}
	return truth, seen.Calls
}

// audited holds a trade's events against the rules and the truth.
func (w *lateWorld) audited(trade string) audit.Truth {
	w.t.Helper()
	truth, _ := w.truth(trade)
	collector := audit.NewCollector(policy, 5)
	collector.Add(trade, w.events(trade), &truth, nil)
	if r := collector.Report(); !r.Clean() {
		w.t.Errorf("%s: %+v", trade, r.Violations)
	}
	return truth
}

// landedUnseen reports that a first request landed after a query had said
// "authorized": the case this file is about.
func landedUnseen(calls []gatewaytest.Call) bool {
	asked := false
	for _, c := range calls {
		asked = asked || c.Method == gateway.MethodQueryOrder
		if strings.HasSuffix(c.Method, "(landed)") && c.TookEffect {
			return asked
		}
	}
	return false
}

// A first request that lands after an "authorized" query never yields two
// captures nor a wrong outcome, whatever the gateway does with a repeated
// request_id, a second capture and a partial amount.
func TestALateLandingNeverCapturesTwice(t *testing.T) {
	t.Parallel()
	for _, repeated := range []gatewaytest.RepeatedMode{gatewaytest.Replay, gatewaytest.Refuse, gatewaytest.ReplayError} {
		for _, second := range []string{capture.CodeTradeID, capture.CodeInternal, capture.CodeAmountExceeded} {
			for _, shown := range []gatewaytest.AmountMode{gatewaytest.ShowCaptured, gatewaytest.ShowAuthorized} {
				t.Run(fmt.Sprintf("%s/%s/%s", repeated, second, shown), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						lateLandings(t, gatewaytest.Options{
							RepeatedRequestID: repeated, SecondCapture: second, PartialAmount: shown,
							// As late as the settle time allows, landing and being seen together.
							Timing: gatewaytest.Timing{LateBy: 35 * time.Second, QueryLag: 9 * time.Second},
						})
					})
				})
			}
		}
	}
}

// lateScripts are the ways in which a trade's first calls go wrong.
var lateScripts = [][]gatewaytest.Step{
	{{Fault: gatewaytest.Late}},
	{{Fault: gatewaytest.Late}, {Fault: gatewaytest.Late}},
	{{Fault: gatewaytest.ErrorBefore}, {Fault: gatewaytest.Late}},
	{{Fault: gatewaytest.HangBefore}, {Fault: gatewaytest.Late}, {Fault: gatewaytest.ErrorBefore}},
	{{Fault: gatewaytest.Late}, {Fault: gatewaytest.QueryError}, {Fault: gatewaytest.QueryStale}, {Fault: gatewaytest.QueryHang}},
}

func lateLandings(t *testing.T, o gatewaytest.Options) {
	w := newLateWorld(t, o)
	defer w.sim.Close()
	const each = 6 // trades, and so fates, of each script
	var jobs sync.WaitGroup
	unseen := 0
	for i := range each * len(lateScripts) {
		trade := fmt.Sprintf("T%d", i)
		body := w.authorize(trade, time.Time{}, lateScripts[i%len(lateScripts)]...)
		jobs.Go(func() { w.redeliver(w.worker("A"), body, true) })
	}
	jobs.Wait()
	time.Sleep(time.Minute) // whatever is still to land lands
	for i := range each * len(lateScripts) {
		trade := fmt.Sprintf("T%d", i)
		truth := w.audited(trade)
		types := w.types(trade)
		if last := types[len(types)-1]; len(truth.Captures) != 1 || last != capture.Captured {
			t.Errorf("%s: %d captures took effect, and the ledger ends with %s: %v", trade, len(truth.Captures), last, types)
		}
		if _, calls := w.truth(trade); landedUnseen(calls) {
			unseen++
		}
	}
	if unseen < 5 {
		t.Errorf("only %d requests landed after an \"authorized\" query: the test shows nothing", unseen)
	}
}

// A worker that takes over continues the settle time where the first one
// stopped: the query that is in the ledger counts.
func TestAnotherWorkerContinuesTheQuiescence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newLateWorld(t, gatewaytest.Options{})
		defer w.sim.Close()
		body := w.authorize("T1", time.Time{}, gatewaytest.Step{Fault: gatewaytest.ResetBefore})
		begin := time.Now()
		stop, cancel := context.WithCancel(t.Context())
		w.gateway.onQuery = func(string) {
			if time.Since(begin) >= policy.Settle {
				cancel() // the first worker stops after the first query that counts
			}
		}
		first := w.worker("first")
		for stop.Err() == nil {
			d := first.Process(t.Context(), stop, worker.Delivery{Body: []byte(body)})
			if stop.Err() == nil {
				time.Sleep(max(time.Until(d.At), time.Second))
			}
		}
		w.gateway.onQuery = nil
		before, took := w.sim.Stats(), time.Now()
		w.redeliver(w.worker("second"), body, false)
		after := w.sim.Stats()
		if queries := after.Queries - before.Queries; queries != 1 || after.Captures-before.Captures != 1 {
			t.Errorf("the second worker made %d queries and %d calls, want one of each", queries, after.Captures-before.Captures)
		}
		if waited := time.Since(took); waited > policy.Spacing+2*time.Second {
			t.Errorf("it took %s: the settle time started again", waited)
		}
		if truth := w.audited("T1"); len(truth.Captures) != 1 {
			t.Errorf("%d captures", len(truth.Captures))
		}
	})
}

// The gateway is down for five days, far beyond worker.give_up_after, in each
// of the ways it can be.
func TestALongOutageFailsAndParksNothing(t *testing.T) {
	t.Parallel()
	for _, down := range []gatewaytest.Down{gatewaytest.DownReset, gatewaytest.DownHang, gatewaytest.Down502} {
		t.Run(string(down), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { longOutage(t, down) })
		})
	}
}

func longOutage(t *testing.T, down gatewaytest.Down) {
	const (
		jobs   = 40
		outage = 5 * 24 * time.Hour
		probe  = time.Minute
	)
	w := newLateWorld(t, gatewaytest.Options{Down: down})
	defer w.sim.Close()
	limiter := worker.NewGatewayLimiter(worker.GatewayLimiterConfig{
		Concurrency: 8, ProbeEvery: probe, Query: w.gateway.Query, Log: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(t.Context())
	var running, working sync.WaitGroup
	running.Go(func() { limiter.Run(ctx) })
	defer running.Wait()
	defer stop()
	begin := time.Now()
	for i := range jobs {
		trade := fmt.Sprintf("T%d", i)
		body := w.authorize(trade, begin.Add(capture.AuthorizationWindow))
		p := w.worker("A")
		p.Limiter = limiter
		working.Go(func() { deliverWhenOpen(ctx, t, limiter, p, body) })
	}
	time.Sleep(time.Until(begin.Add(outage)))
	during := w.sim.Stats()
	if err := w.sim.SetDown(gatewaytest.Up); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	if err := limiter.WaitResumed(ctx); err != nil {
		t.Fatal(err)
	}
	// A probe that hangs when the gateway comes back hangs to its timeout.
	if took := time.Since(back); took > probe+w.gateway.timeout {
		t.Errorf("jobs were taken again %s after the gateway was back, one probe interval is %s", took, probe)
	}
	working.Wait()
	// The bound: one probe an interval, and what the jobs asked before calls were paused
	// paused: at most two calls each.
	if most := int64(outage/probe) + 2*jobs; during.Down > most {
		t.Errorf("%d calls met the outage, the bound is %d", during.Down, most)
	}
	if all := w.sim.Stats(); all.Queries > 3*jobs {
		t.Errorf("%d queries for %d jobs after the outage", all.Queries, jobs)
	}
	for i := range jobs {
		trade := fmt.Sprintf("T%d", i)
		w.audited(trade)
		for _, e := range w.events(trade) {
			if e.Type == capture.Failed || e.Type == capture.Parked {
				t.Errorf("%s was %s: %s", trade, e.Type, e.Reason)
			}
		}
		if types := w.types(trade); types[len(types)-1] != capture.Captured {
			t.Errorf("%s is not captured: %v", trade, types)
		}
	}
}

// deliverWhenOpen delivers a job again and again, as a worker takes it: only
// while calls pass.
func deliverWhenOpen(ctx context.Context, t *testing.T, limiter *worker.GatewayLimiter, p *worker.Processor, body string) {
	for first := true; limiter.WaitResumed(ctx) == nil; first = false {
		d := p.Process(ctx, ctx, worker.Delivery{Body: []byte(body), First: first})
		if d.Do == worker.Ack {
			return
		}
		if d.Do != worker.Retry {
			t.Errorf("the job ended as %+v", d)
			return
		}
		time.Sleep(max(time.Until(d.At), time.Second))
	}
}

// The gateway is down over the deadline. No call is made after it, and the
// last queries tell captured from failed; in between the schedule bounds what
// is asked, and no breaker helps.
func TestAfterTheDeadlineTheLastQueryDecides(t *testing.T) {
	t.Parallel()
	for _, shown := range []gatewaytest.ExpiryMode{gatewaytest.ShowExpired, gatewaytest.ShowStillAuthorized} {
		for _, fault := range []gatewaytest.Fault{gatewaytest.HangBefore, gatewaytest.HangAfter} {
			t.Run(fmt.Sprintf("%s/%s", shown, fault), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { overTheDeadline(t, shown, fault) })
			})
		}
	}
}

func overTheDeadline(t *testing.T, shown gatewaytest.ExpiryMode, fault gatewaytest.Fault) {
	w := newLateWorld(t, gatewaytest.Options{AfterWindow: shown})
	defer w.sim.Close()
	begin := time.Now()
	deadline, back := begin.Add(12*time.Hour), begin.Add(18*time.Hour)
	body := w.authorize("T1", deadline, gatewaytest.Step{Fault: fault})
	outage := time.AfterFunc(time.Minute/2, func() { w.sim.SetDown(gatewaytest.Down502) })
	defer outage.Stop()
	var upAgain gatewaytest.Stats
	end := time.AfterFunc(time.Until(back), func() { upAgain = w.sim.Stats(); w.sim.SetDown(gatewaytest.Up) })
	defer end.Stop()
	w.redeliver(w.worker("A"), body, true)

	want := capture.Failed
	if fault == gatewaytest.HangAfter {
		want = capture.Captured
	}
	truth := w.audited("T1")
	types := w.types("T1")
	if last := types[len(types)-1]; last != want || (len(truth.Captures) == 1) != (want == capture.Captured) {
		t.Errorf("ends with %s and %d captures, want %s", last, len(truth.Captures), want)
	}
	if queries := w.sim.Stats().Queries; queries > int64(policy.Agree) {
		t.Errorf("%d queries decided, want at most %d", queries, policy.Agree)
	}
	// The bound of the schedule: at most one a half of worker.retry.max (the
	// jitter), and a few dozen more on the way to the deadline.
	if most := int64(back.Sub(begin)/(15*time.Minute/2)) + 80; upAgain.Down > most {
		t.Errorf("%d calls met the outage, the bound is %d", upAgain.Down, most)
	}
	for _, e := range w.events("T1") {
		if e.Type == capture.Attempted && !e.Time.Before(deadline) {
			t.Errorf("a capture call after the deadline: %+v", e)
		}
	}
}
