package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"github.com/capture-worker/capture-worker/capture"
)

// ErrShut is returned by Gate.Enter while the gateway is not to be called:
// the breaker is open, or our key or user was refused.
var ErrShut = errors.New("the gateway is shut for now")

// When the breaker opens: the gateway gave no useful answer this often in a
// row, or almost never over a window.
const (
	breakerInARow = 20
	breakerWindow = 10 * time.Second
	breakerLeast  = 50
	breakerRatio  = 0.9
)

// probeTrade is asked about when no trade of ours is known yet. The gateway
// does not know it and says so, which is all a probe needs.
const probeTrade = "capture-worker-probe"

// GateConfig configures a Gate.
type GateConfig struct {
	Concurrency int           // gateway calls in flight
	Rate        float64       // calls per second; 0 is no limit
	ProbeEvery  time.Duration // between probes while shut
	Query       func(ctx context.Context, tradeID string) capture.Answer
	Log         *slog.Logger
}

// Gate stands between jobs and the gateway. It counts calls in flight, keeps
// the rate, and shuts when the gateway is down or refuses our key or user;
// while shut it probes with Order Query and opens itself when a probe passes.
type Gate struct {
	cfg     GateConfig
	slots   chan struct{}
	staged  chan struct{}
	limiter *rate.Limiter
	breaker *gobreaker.TwoStepCircuitBreaker[any]
	waiting atomic.Int64 // for a rate token or a place

	mu        sync.Mutex
	reason    string        // why shut, "" while open
	halted    bool          // shut because we were refused
	reopened  chan struct{} // closed when it opens again
	lastTrade string
	shutNow   chan struct{} // wakes the prober
}

// NewGate returns an open gate. Run must be running for it to open again after
// it shuts.
func NewGate(cfg GateConfig) *Gate {
	limit, burst := rate.Inf, 0
	if cfg.Rate > 0 {
		limit, burst = rate.Limit(cfg.Rate), max(1, int(cfg.Rate/10))
	}
	g := &Gate{
		cfg:   cfg,
		slots: make(chan struct{}, cfg.Concurrency),
		// As many calls may be announced in the ledger as are in flight, so
		// that a free slot never waits for an append. Each of them waits for
		// at most one call before its own, which the lease allows for.
		staged:    make(chan struct{}, 2*cfg.Concurrency),
		limiter:   rate.NewLimiter(limit, burst),
		lastTrade: probeTrade,
		shutNow:   make(chan struct{}, 1),
	}
	g.breaker = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name: "gateway", MaxRequests: 1, Interval: breakerWindow,
		Timeout: max(cfg.ProbeEvery/2, time.Millisecond), ReadyToTrip: tripped,
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				g.shut("the gateway gives no useful answers", false)
			}
		},
	})
	return g
}

func tripped(c gobreaker.Counts) bool {
	rare := c.Requests >= breakerLeast && float64(c.TotalFailures) >= breakerRatio*float64(c.Requests)
	return c.ConsecutiveFailures >= breakerInARow || rare
}

// Enter implements Turnstile. While the gate is shut it returns an error that
// wraps ErrShut at once: a job must not sit in hand through an outage.
func (g *Gate) Enter(ctx context.Context) (leave func(), err error) {
	if reason := g.Shut(); reason != "" {
		return nil, fmt.Errorf("%w: %s", ErrShut, reason)
	}
	g.waiting.Add(1)
	defer g.waiting.Add(-1)
	if err := g.limiter.Wait(ctx); err != nil {
		// The limiter has errors of its own for a wait that would outlast ctx.
		return nil, fmt.Errorf("waiting for the rate limit: %w", errors.Join(err, context.Cause(ctx)))
	}
	select {
	case g.staged <- struct{}{}:
		return func() { <-g.staged }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a turn: %w", context.Cause(ctx))
	}
}

// Call implements Turnstile. A call that cannot begin is answered as not sent.
func (g *Gate) Call(ctx context.Context, call func(context.Context) capture.Answer) capture.Answer {
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-ctx.Done():
		return notSent("no gateway slot became free in time")
	}
	if reason := g.Shut(); reason != "" {
		return notSent(reason)
	}
	report, err := g.breaker.Allow()
	if err != nil {
		return notSent("the breaker is open")
	}
	answer := call(ctx)
	report(g.assess(answer))
	return answer
}

func notSent(why string) capture.Answer {
	return capture.Answer{Kind: capture.AnswerNotSent, Why: why}
}

// errUseless is what the breaker counts.
var errUseless = errors.New("no useful answer")

// assess tells the breaker whether the gateway works, and shuts the gate when
// the gateway refuses us rather than the trade.
func (g *Gate) assess(a capture.Answer) error {
	switch {
	case a.OurFault():
		g.shut(fmt.Sprintf("the gateway refuses our signature or user (code %s): check gateway.user and gateway.secret_key", a.Code), true)
	case a.Kind == capture.AnswerNotSent, a.Kind == capture.AnswerUnknown && a.Order == nil:
		return errUseless
	case a.Order != nil && a.Order.TradeID != "":
		g.mu.Lock()
		g.lastTrade = a.Order.TradeID
		g.mu.Unlock()
	}
	return nil
}

// Shut returns why the gate is shut, "" while it is open.
func (g *Gate) Shut() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reason
}

// Calls is how many gateway calls are in flight.
func (g *Gate) Calls() int { return len(g.slots) }

// Waiting is how many jobs wait for the rate limit or a turn.
func (g *Gate) Waiting() int { return int(g.waiting.Load()) }

// Halted reports that the gate is shut because our key or user was refused,
// which takes a person, and not because the gateway is down.
func (g *Gate) Halted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reason != "" && g.halted
}

// WaitOpen waits until the gate is open or ctx ends.
func (g *Gate) WaitOpen(ctx context.Context) error {
	for {
		g.mu.Lock()
		reason, reopened := g.reason, g.reopened
		g.mu.Unlock()
		if reason == "" {
			return nil
		}
		select {
		case <-reopened:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (g *Gate) shut(reason string, halted bool) {
	g.mu.Lock()
	first := g.reason == ""
	if first {
		g.reopened = make(chan struct{})
	}
	g.reason, g.halted = reason, halted
	g.mu.Unlock()
	if !first {
		return
	}
	g.cfg.Log.Error("stopped taking jobs; probing with Order Query until it passes", "reason", reason)
	select {
	case g.shutNow <- struct{}{}:
	default:
	}
}

func (g *Gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reason != "" {
		g.cfg.Log.Info("taking jobs again: a probe of the gateway passed", "after", g.reason)
		g.reason = ""
		close(g.reopened)
	}
}

// Run probes whenever the gate is shut, until ctx ends.
func (g *Gate) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.shutNow:
		}
		tick := time.NewTicker(g.cfg.ProbeEvery)
		for g.Shut() != "" && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-tick.C:
				g.probe(ctx)
			}
		}
		tick.Stop()
	}
}

// probe asks about a trade. Any answer that is about the trade passes, also
// that there is no such trade: our key and user were accepted.
func (g *Gate) probe(ctx context.Context) {
	report, err := g.breaker.Allow()
	if err != nil {
		return // still open; half-open comes with time
	}
	g.mu.Lock()
	trade := g.lastTrade
	g.mu.Unlock()
	answer := g.cfg.Query(ctx, trade)
	err = g.assess(answer)
	report(err)
	if err == nil && !answer.OurFault() {
		g.open()
		return
	}
	g.cfg.Log.Error("the gateway is still not usable", "reason", g.Shut(),
		"answer", string(answer.Kind), "code", answer.Code, "why", answer.Why)
}
