package worker_test

import (
	"cmp"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/worker"
)

// refuser answers captures with a code, as long as it has one, and keeps count.
type refuser struct {
	worker.Gateway
	mu      sync.Mutex
	code    string
	most    int // calls at a time while it refuses
	flying  int
	refused int
}

func (r *refuser) set(code string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.code, r.most = code, 0
}

func (r *refuser) count() (refused, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused, r.most
}

func (r *refuser) Capture(ctx context.Context, request gateway.CaptureRequest) capture.Answer {
	r.mu.Lock()
	code := r.code
	r.flying++
	r.most = max(r.most, r.flying)
	if code != "" {
		r.refused++
	}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.flying--
		r.mu.Unlock()
	}()
	if code != "" {
		return capture.Answer{Kind: capture.AnswerRefused, Code: code, Latency: time.Millisecond}
	}
	return r.Gateway.Capture(ctx, request)
}

// guarded is a worker of the shop with an intake.
func (s *shop) guarded(g worker.Gateway) (worker.Pool, *worker.Intake) {
	s.intake = worker.NewIntake(worker.IntakeConfig{
		ProbeEvery: 50 * time.Millisecond, Settle: policy.Settle, Query: s.client.Query,
		Ledger: s.ledger.(*ledger.JetStream), Log: s.log,
	})
	return s.worker(func(p *worker.Processor) {
		p.Intake, p.Rest = s.intake.Guard(), 50*time.Millisecond
		p.Recorder.Policy.Settle, p.Recorder.Policy.Spacing = time.Second, 50*time.Millisecond
		if g != nil {
			p.Gateway = g
		}
	}), s.intake
}

// outcomes counts the outcomes of trades, as the ledger has them.
func (s *shop) outcomes(ids []string) map[capture.Phase]int {
	s.t.Helper()
	counts := map[capture.Phase]int{}
	for _, id := range ids {
		counts[cmp.Or(s.phase(id), capture.PhaseNew)]++
	}
	return counts
}

// begun counts the trades that the ledger has anything of.
func (s *shop) begun(ids []string) (n int) {
	s.t.Helper()
	for _, id := range ids {
		found, err := s.ledger.LoadLatest(s.t.Context(), id)
		if err != nil {
			s.t.Fatal(err)
		}
		if found.Seq > 0 {
			n++
		}
	}
	return n
}

// A request that we built wrong: the intake is paused after three trades, one job
// is tried sometimes, and all are captured once it is right.
func TestIntakeTriesOneJobWhereTheRequestIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	s.worker(nil)
	ids := trades(60)
	s.authorize(ids...)
	g := &refuser{Gateway: s.client, code: capture.CodeFieldMissing}
	pool, intake := s.guarded(g)
	stop := s.start(pool)
	s.until("the intake is paused", func() bool { return intake.PausedFor() != "" })
	before, _ := g.count()
	g.set(capture.CodeFieldMissing) // counts again what is in flight
	s.until("jobs are tried", func() bool { n, _ := g.count(); return n >= before+3 })
	if got := s.outcomes(ids); got[capture.PhaseFailed]+got[capture.PhaseParked] > 0 {
		t.Errorf("while it refuses: %v", got)
	}
	g.set("")
	s.until("all jobs are done", s.drained)
	stop()
	if got := s.outcomes(ids); got[capture.PhaseCaptured] != len(ids) {
		t.Errorf("in the end: %v", got)
	}
}

// The wrong account, and no trade is known that was captured before: one job at a
// time is tried, each trade once, and nothing is failed. When the trades appear,
// all are captured.
func TestIntakeAtAnAccountWithoutTheTrades(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	s.worker(nil)
	ids := trades(60)
	s.publishJobs(ids...)
	g := &refuser{Gateway: s.client}
	pool, intake := s.guarded(g)
	stop := s.start(pool)
	s.until("the intake is paused", func() bool { return intake.PausedFor() != "" })
	s.until("every trade was tried", func() bool { return s.begun(ids) == len(ids) })
	if got := s.outcomes(ids); got[capture.PhaseFailed]+got[capture.PhaseParked]+got[capture.PhaseCaptured] > 0 {
		t.Errorf("at the wrong account: %v", got)
	}
	for _, id := range ids {
		if events, err := s.ledger.LoadLatest(t.Context(), id); err != nil || calls(events.Events) > 1 {
			t.Errorf("trade %s was called %d times, %v", id, calls(events.Events), err)
		}
	}
	s.authorizeOnly(ids...)
	s.until("all jobs are done", s.drained)
	stop()
	if got := s.outcomes(ids); got[capture.PhaseCaptured] != len(ids) {
		t.Errorf("in the end: %v", got)
	}
}

func calls(events []capture.Event) (n int) {
	for _, e := range events {
		if e.Type == capture.Attempted {
			n++
		}
	}
	return n
}

// A captured trade is known, and the gateway does not know it any more: no job is
// taken until it does.
func TestIntakeAtAWrongAccountAfterACapture(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	s.worker(nil)
	all := trades(61)
	first, ids := all[:1], all[1:]
	s.authorize(first...)
	pool, _ := s.guarded(nil)
	stop := s.start(pool)
	s.until("the first is captured", s.drained)
	stop()
	s.sim.Reset()
	s.publishJobs(ids...)
	pool, intake := s.guarded(nil)
	stop = s.start(pool)
	s.until("the intake is paused", func() bool { return intake.PausedFor() != "" })
	if begun := s.begun(ids); begun > worker.DefaultRefusalRun+8*2 { // and what was in flight or announced
		t.Errorf("%d trades were begun", begun)
	}
	if err := pool.Ready(); err == nil {
		t.Error("it is ready while it takes no jobs")
	}
	s.authorizeOnly(ids...)
	amount := sum("24.99")
	if err := s.sim.AddTrades(gatewaytest.Trade{TradeID: first[0], Amount: amount, State: capture.OrderPaid}); err != nil {
		t.Fatal(err)
	}
	s.until("all jobs are done", s.drained)
	stop()
	if got := s.outcomes(ids); got[capture.PhaseCaptured] != len(ids) {
		t.Errorf("in the end: %v", got)
	}
}
