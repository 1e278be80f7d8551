package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/breaker"
)

// ErrPaused is wrapped by the errors that no gateway call may be prepared now: the
// gateway is down, it refuses our key or user, or the intake of jobs is paused
// because of its refusals.
var ErrPaused = errors.New("gateway calls paused")

// gatewayDown is the reason while the gateway is down.
const gatewayDown = "the gateway gives no useful answers"

// BreakerConfig returns the settings of the circuit breaker of a worker that has
// that many gateway calls in flight.
func BreakerConfig(concurrency int, probeEvery time.Duration) breaker.Config {
	return breaker.Config{
		InARow: 20, Few: 3, Over: time.Minute, Window: 10 * time.Second, Least: 50, Ratio: 0.9,
		OurFault: true, MaxHold: 5 * time.Minute, ProbeFirst: probeEvery, ProbeMax: probeEvery,
		// If every capture is refused and queries pass, there is about one query
		// for each refusal: far fewer than this.
		WellAfter: 20 * concurrency,
	}
}

// GatewayLimiterConfig configures a GatewayLimiter.
type GatewayLimiterConfig struct {
	Concurrency int           // gateway calls in flight
	SlotWait    time.Duration // the longest wait of a call for its slot; 0 is until its context ends
	Rate        float64       // calls per second; 0 is no limit
	ProbeEvery  time.Duration // between probes while paused
	Query       func(ctx context.Context, tradeID string) capture.Answer
	Intake      *Intake // pauses the intake of jobs because of refusals; nil never pauses it
	Log         *slog.Logger
}

// GatewayLimiter limits the gateway calls in flight and their rate. It pauses calls
// while the gateway is down or refuses our key or user, probes the gateway with
// Order Query, and resumes when a probe passes.
type GatewayLimiter struct {
	cfg   GatewayLimiterConfig
	slots *fairSemaphore // places for calls in flight
	turns *fairSemaphore // calls being prepared
	all   *laneLimiter   // for callers without a lane of their own
	wake  chan struct{}  // wakes Run when the breaker has opened

	mu        sync.Mutex
	breaker   *breaker.Breaker
	cause     breaker.Cause // the code in the reason
	reason    string        // the reason of the pause, "" if there is none
	saw       string        // the code of the last answer that was useless or refused us
	lastTrade string        // for probes
	resumed   chan struct{} // closed when calls are resumed
	log       pauseLog
}

// NewGatewayLimiter returns a limiter that is not paused. It needs Run to resume
// after a pause.
func NewGatewayLimiter(cfg GatewayLimiterConfig) *GatewayLimiter {
	limit, burst := rate.Inf, 0
	if cfg.Rate > 0 {
		limit, burst = rate.Limit(cfg.Rate), max(1, int(cfg.Rate/10))
	}
	g := &GatewayLimiter{
		cfg:   cfg,
		slots: newFairSemaphore(cfg.Concurrency, rate.NewLimiter(rate.Inf, 0)),
		// As many calls may be announced in the ledger as may be in flight, so that
		// a free slot never waits for an append. With one lane an announced call
		// waits for at most one other call, for which the lease has room; in a lane
		// of little weight it may wait longer, and a call that waits too long is
		// not sent.
		turns:     newFairSemaphore(2*cfg.Concurrency, rate.NewLimiter(limit, burst)),
		wake:      make(chan struct{}, 1),
		breaker:   breaker.New(BreakerConfig(cfg.Concurrency, cfg.ProbeEvery)),
		lastTrade: capture.ProbeTradeID,
		log:       newPauseLog(cfg.Log),
	}
	g.slots.maxWait = cfg.SlotWait
	if cfg.Intake != nil {
		cfg.Intake.keyRefused = g.KeyRefused
	}
	g.all = g.lane("", 1)
	return g
}

// Lane returns the limiter for one kind of jobs. If several lanes wait for a turn
// or a slot, each gets its share by weight; the others use the share that a lane
// leaves.
func (g *GatewayLimiter) Lane(name string, weight int) Limiter { return g.lane(name, weight) }

func (g *GatewayLimiter) lane(name string, weight int) *laneLimiter {
	return &laneLimiter{shared: g, turn: g.turns.lane(name, weight), slot: g.slots.lane(name, weight)}
}

// laneLimiter is the limiter of one lane, with the queues of its jobs.
type laneLimiter struct {
	shared     *GatewayLimiter
	turn, slot *lane
	probe      bool // not affected by a paused intake
}

// probing returns the lane's limiter for a job that is tried while the intake is
// paused.
func (l *laneLimiter) probing() Limiter {
	return &laneLimiter{shared: l.shared, turn: l.turn, slot: l.slot, probe: true}
}

// probing is laneLimiter.probing without a lane.
func (g *GatewayLimiter) probing() Limiter { return g.all.probing() }

// paused returns an error while this lane's calls may not be made.
func (l *laneLimiter) paused() error {
	reason := l.shared.unavailable()
	if !l.probe {
		reason = l.shared.PausedFor()
	}
	if reason == "" {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrPaused, reason)
}

// Acquire implements Limiter for callers without a lane. While calls are paused it
// returns an error that wraps ErrPaused at once: a job must not stay in flight
// during an outage.
func (g *GatewayLimiter) Acquire(ctx context.Context) (release func(), err error) {
	return g.all.Acquire(ctx)
}

// Acquire is GatewayLimiter.Acquire for one lane.
func (l *laneLimiter) Acquire(ctx context.Context) (release func(), err error) {
	if err := l.paused(); err != nil {
		return nil, err
	}
	turns := l.shared.turns
	if err := turns.acquire(ctx, l.turn); err != nil {
		return nil, err
	}
	// Calls may have been paused meanwhile; an intent should not be written now.
	if err := l.paused(); err != nil {
		turns.release()
		return nil, err
	}
	return turns.release, nil
}

// Begin implements Limiter for callers without a lane.
func (g *GatewayLimiter) Begin(ctx context.Context) (end func(capture.Answer), err error) {
	return g.all.Begin(ctx)
}

// Begin is GatewayLimiter.Begin for one lane.
func (l *laneLimiter) Begin(ctx context.Context) (end func(capture.Answer), err error) {
	g := l.shared
	if g.slots.acquire(ctx, l.slot) != nil {
		return nil, errNoSlot
	}
	if err := l.paused(); err != nil {
		g.slots.release()
		return nil, err
	}
	return func(a capture.Answer) {
		if !breaker.Ignored(ctx, a) {
			g.observe(a)
		}
		g.slots.release()
	}, nil
}

// Do makes a call in a gateway slot. A call that cannot begin is answered as not
// sent.
func (g *GatewayLimiter) Do(ctx context.Context, call func(context.Context) capture.Answer) (answer capture.Answer) {
	end, err := g.Begin(ctx)
	if err != nil {
		return notSent(err.Error())
	}
	defer func() { end(answer) }()
	return call(ctx)
}

var errNoSlot = errors.New("no gateway slot became free in time")

// observe passes the answer of a call to the breaker.
func (g *GatewayLimiter) observe(a capture.Answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.learnLocked(a)
	opened := g.breaker.Observe(a, time.Now())
	g.explainLocked(a)
	if !opened {
		return
	}
	g.resumed = make(chan struct{})
	g.log.paused(g.reason, g.saw)
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// learnLocked stores the parts of an answer that the log and the next probe need.
func (g *GatewayLimiter) learnLocked(a capture.Answer) {
	if a.OurFault() || breaker.Useless(a) {
		g.saw = sawIn(a)
	} else if a.Order != nil {
		g.lastTrade = cmp.Or(a.Order.TradeID, g.lastTrade)
	}
}

// explainLocked sets the reason of the pause when its cause has changed.
func (g *GatewayLimiter) explainLocked(a capture.Answer) {
	cause := g.breaker.Cause()
	if cause == g.cause && cause != breaker.Down {
		return
	}
	g.cause = cause
	switch cause {
	case breaker.Closed:
		g.reason = ""
	case breaker.Refused:
		g.reason = fmt.Sprintf("the gateway refuses our signature or user (code %s): check gateway.user and gateway.secret_key", a.Code)
	case breaker.Held:
		wait := time.Until(g.breaker.Next()).Round(time.Second)
		g.reason = fmt.Sprintf("the gateway asks not to be called for %s (Retry-After)", wait)
	case breaker.Down:
		g.reason = gatewayDown
		if code := g.breaker.OnlyCode(); code != "" { // an answer with a code shows that the network is not the cause
			g.reason = fmt.Sprintf("%s: all its answers have code %.20s", gatewayDown, code)
		}
	}
}

// PausedFor returns why no jobs are taken, "" while they are: the gateway is
// unavailable, or the intake is paused because of its refusals.
func (g *GatewayLimiter) PausedFor() string {
	if reason := g.unavailable(); reason != "" {
		return reason
	}
	if g.cfg.Intake != nil {
		return g.cfg.Intake.PausedFor()
	}
	return ""
}

// unavailable returns why the gateway is not to be called, "" if it may be.
func (g *GatewayLimiter) unavailable() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reason
}

// Down reports whether the gateway gives no useful answers, or asked not to be
// called.
func (g *GatewayLimiter) Down() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cause == breaker.Down || g.cause == breaker.Held
}

// KeyRefused reports whether calls are paused because the gateway refuses our key
// or user, which an operator has to correct.
func (g *GatewayLimiter) KeyRefused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cause == breaker.Refused
}

// Guard returns the guard of the intake, nil if there is none.
func (g *GatewayLimiter) Guard() IntakeGuard {
	if g.cfg.Intake == nil {
		return nil
	}
	return g.cfg.Intake.Guard()
}

// MayFail is IntakeGuard.MayFail of the intake; without one every trade may be
// failed.
func (g *GatewayLimiter) MayFail(ctx context.Context, code string, since time.Time) bool {
	guard := g.Guard()
	return guard == nil || guard.MayFail(ctx, code, since)
}

// IntakePaused reports whether the intake is paused because of the gateway's
// refusals.
func (g *GatewayLimiter) IntakePaused() bool {
	return g.cfg.Intake != nil && g.cfg.Intake.PausedFor() != ""
}

// Calls returns how many gateway calls are in flight.
func (g *GatewayLimiter) Calls() int { return g.slots.taken() }

// Waiting returns how many jobs wait for the rate limit or a turn.
func (g *GatewayLimiter) Waiting() int { return g.turns.length() }

// await waits until jobs may be taken. With a permit it is one job.
func (g *GatewayLimiter) await(ctx context.Context) (*permit, error) {
	if err := g.WaitResumed(ctx); err != nil || g.cfg.Intake == nil {
		return nil, err
	}
	return g.cfg.Intake.await(ctx)
}

// WaitResumed waits until the gateway may be called or ctx ends. It does not wait
// for an intake that is paused.
func (g *GatewayLimiter) WaitResumed(ctx context.Context) error {
	for {
		g.mu.Lock()
		reason, resumed := g.reason, g.resumed
		g.mu.Unlock()
		if reason == "" {
			return nil
		}
		select {
		case <-resumed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Run probes the gateway while calls are paused, and runs the intake, until ctx
// ends.
func (g *GatewayLimiter) Run(ctx context.Context) {
	defer g.turns.close()
	var intake sync.WaitGroup
	defer intake.Wait()
	if g.cfg.Intake != nil {
		intake.Go(func() { g.cfg.Intake.Run(ctx) })
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
		}
		for {
			next := g.nextProbe()
			if next.IsZero() {
				break
			}
			if pause(ctx, time.Until(next)); ctx.Err() != nil {
				return
			}
			g.tryResume(ctx)
		}
	}
}

func (g *GatewayLimiter) nextProbe() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.breaker.Next()
}

// tryResume ends a pause for a Retry-After whose time is over, without a query; any
// other pause needs a probe that passes.
func (g *GatewayLimiter) tryResume(ctx context.Context) {
	g.mu.Lock()
	due := !time.Now().Before(g.breaker.Next())
	if g.breaker.Expire(time.Now()) {
		g.resumeLocked()
		due = false
	}
	// Every second probe is about a trade that the gateway cannot know: the known
	// trade may be the cause of the useless answers.
	trade := g.lastTrade
	if g.breaker.Failed()%2 == 1 {
		trade = capture.ProbeTradeID
	}
	g.mu.Unlock()
	if due {
		g.probed(g.cfg.Query(ctx, trade))
	}
}

// probed passes the answer of a probe to the breaker.
func (g *GatewayLimiter) probed(a capture.Answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.learnLocked(a)
	if g.breaker.Probed(a, time.Now()) {
		g.resumeLocked()
		return
	}
	g.explainLocked(a)
	g.log.probeFailed(g.reason, sawIn(a))
}

func (g *GatewayLimiter) resumeLocked() {
	g.log.resumed(g.reason)
	g.reason, g.cause = "", breaker.Closed
	close(g.resumed)
}
