package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"github.com/capture-worker/capture-worker/capture"
)

// ErrShut is returned by Gate.Enter while the gateway is not to be called:
// the breaker is open, or our key or user was refused.
var ErrShut = errors.New("the gateway is shut for now")

// When the breaker opens: the gateway gave no useful answer this often in a
// row, or a few times in a row over so long a time that it was asked seldom only
// for want of jobs, or almost never over a window.
const (
	breakerInARow = 20
	breakerFew    = 3
	breakerSilent = time.Minute
	breakerWindow = 10 * time.Second
	breakerLeast  = 50
	breakerRatio  = 0.9
)

// wellEnough is how many useful answers for each slot tell that a refusal of our
// key or user is about one trade. Where every capture is refused and queries
// pass, there is about one query for each refusal.
const wellEnough = 20

// gatewayDown is the reason while the gateway is down.
const gatewayDown = "the gateway gives no useful answers"

// GateConfig configures a Gate.
type GateConfig struct {
	Concurrency int           // gateway calls in flight
	SlotWait    time.Duration // how long a call waits for its slot; 0 is until its context ends
	Rate        float64       // calls per second; 0 is no limit
	ProbeEvery  time.Duration // between probes while shut
	Query       func(ctx context.Context, tradeID string) capture.Answer
	Intake      *Intake // pauses jobs because of what is refused; nil: nothing does
	Log         *slog.Logger
}

// Gate stands between jobs and the gateway. It counts calls in flight, keeps
// the rate, and shuts when the gateway is down or refuses our key or user;
// while shut it probes with Order Query and opens itself when a probe passes.
type Gate struct {
	cfg     GateConfig
	slots   *turns // calls in flight; no rate
	turns   *turns
	all     *laneGate // of those who use the gate without a lane of their own
	breaker *gobreaker.TwoStepCircuitBreaker[any]

	mu        sync.Mutex
	reason    string    // why shut, "" while open
	halted    bool      // shut because we were refused
	useless   int       // answers in a row, however long they take
	silent    time.Time // when the first of them came
	onlyCode  string    // the code that all of these carry, "" where they don't
	well      int       // useful answers since it last shut
	hasty     bool      // shut by a refusal among many useful answers
	saw       string    // in the last answer that was of no use
	tell      gateLog
	reopened  chan struct{} // closed when it opens again
	lastTrade string
	vain      int           // probes that failed since it shut
	shutNow   chan struct{} // wakes the prober
	held      bool          // shut because the gateway asked not to be called
	heldUntil time.Time     // until then
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
		slots: newTurns(cfg.Concurrency, rate.NewLimiter(rate.Inf, 0)),
		// As many calls may be announced in the ledger as are in flight, so
		// that a free slot never waits for an append. In a lane of its own each
		// waits for at most one call before its own, which the lease allows
		// for; in a lane of little weight beside busy ones it may be more, and
		// what waits too long is not sent.
		turns:     newTurns(2*cfg.Concurrency, rate.NewLimiter(limit, burst)),
		lastTrade: capture.ProbeTradeID,
		shutNow:   make(chan struct{}, 1),
		tell:      newGateLog(cfg.Log),
	}
	g.slots.patience = cfg.SlotWait
	if cfg.Intake != nil {
		cfg.Intake.halted = g.Halted
	}
	g.all = g.lane("", 1)
	g.breaker = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name: "gateway", MaxRequests: 1, Interval: breakerWindow,
		Timeout: max(cfg.ProbeEvery/2, time.Millisecond), ReadyToTrip: tripped,
		IsExcluded: func(err error) bool { return errors.Is(err, errGivenUp) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				g.shut(g.down(), false)
			}
		},
	})
	return g
}

func tripped(c gobreaker.Counts) bool {
	rare := c.Requests >= breakerLeast && float64(c.TotalFailures) >= breakerRatio*float64(c.Requests)
	return c.ConsecutiveFailures >= breakerInARow || rare
}

// Lane returns the gate for one kind of jobs. Where several lanes wait, for a
// turn or for a slot, each gets its share by weight; what one does not use the
// others do.
func (g *Gate) Lane(name string, weight int) Turnstile {
	return g.lane(name, weight)
}

func (g *Gate) lane(name string, weight int) *laneGate {
	return &laneGate{gate: g, turn: g.turns.lane(name, weight), slot: g.slots.lane(name, weight)}
}

// laneGate is the gate with the queues in which the jobs of a lane wait.
type laneGate struct {
	gate       *Gate
	turn, slot *lane
	probe      bool // goes through also while the intake is paused
}

// shut returns why this lane's calls may not be made, "" if they may.
func (l *laneGate) shut() string {
	if l.probe {
		return l.gate.unusable()
	}
	return l.gate.Shut()
}

// probing is the lane for a job that is let through while the intake is paused.
func (l *laneGate) probing() Turnstile {
	return &laneGate{gate: l.gate, turn: l.turn, slot: l.slot, probe: true}
}

// probing is laneGate.probing, beside all lanes.
func (g *Gate) probing() Turnstile { return g.all.probing() }

// Acquire implements Turnstile, beside all lanes. While the gate is shut it
// returns an error that wraps ErrShut at once: a job must not sit in hand
// through an outage.
func (g *Gate) Acquire(ctx context.Context) (leave func(), err error) { return g.all.Acquire(ctx) }

// Enter is Gate.Enter for one lane.
func (l *laneGate) Acquire(ctx context.Context) (leave func(), err error) {
	g := l.gate
	if reason := l.shut(); reason != "" {
		return nil, fmt.Errorf("%w: %s", ErrShut, reason)
	}
	if err := g.turns.enter(ctx, l.turn); err != nil {
		return nil, err
	}
	// It may have shut in the meantime; an intent should not be written now.
	if reason := l.shut(); reason != "" {
		g.turns.leave()
		return nil, fmt.Errorf("%w: %s", ErrShut, reason)
	}
	return g.turns.leave, nil
}

// Do implements Turnstile, beside all lanes. A call that cannot begin is
// answered as not sent.
func (g *Gate) Do(ctx context.Context, call func(context.Context) capture.Answer) capture.Answer {
	return g.all.Do(ctx, call)
}

// Call is Gate.Call for one lane.
func (l *laneGate) Do(ctx context.Context, call func(context.Context) capture.Answer) capture.Answer {
	g := l.gate
	if g.slots.enter(ctx, l.slot) != nil {
		return notSent("no gateway slot became free in time")
	}
	defer g.slots.leave()
	if reason := l.shut(); reason != "" {
		return notSent(reason)
	}
	report, err := g.breaker.Allow()
	if err != nil {
		return notSent("the breaker is open")
	}
	answer := call(ctx)
	if givenUp(ctx, answer) {
		report(errGivenUp)
	} else {
		report(g.assess(answer))
	}
	return answer
}

func notSent(why string) capture.Answer {
	return capture.Answer{Kind: capture.AnswerNotSent, Why: why}
}

var (
	// errUseless is what the breaker counts.
	errUseless = errors.New("no useful answer")
	// errGivenUp is what it does not count, one way or the other.
	errGivenUp = errors.New("given up by us")
)

// givenUp: the call was not tried, or a stop has cut it off. That says nothing
// about the gateway.
func givenUp(ctx context.Context, a capture.Answer) bool {
	return a.Kind == capture.AnswerNotSent && a.Latency == 0 || useless(a) && errors.Is(ctx.Err(), context.Canceled)
}

func useless(a capture.Answer) bool {
	return a.Kind == capture.AnswerNotSent || a.Kind == capture.AnswerUnknown && a.Order == nil
}

// assess tells the breaker whether the gateway works, and shuts the gate when
// the gateway refuses us rather than the trade.
func (g *Gate) assess(a capture.Answer) error {
	if a.OurFault() || useless(a) {
		g.mu.Lock()
		g.saw = sawIn(a)
		g.mu.Unlock()
	}
	if a.RetryAfter > 0 {
		g.hold(a.RetryAfter)
	}
	switch {
	case a.OurFault():
		g.shut(fmt.Sprintf("the gateway refuses our signature or user (code %s): check gateway.user and gateway.secret_key", a.Code), true)
	case useless(a):
		g.countUseless(a)
		return errUseless
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.useless = 0
	g.well++
	if a.Order != nil && a.Order.TradeID != "" {
		g.lastTrade = a.Order.TradeID
	}
	return nil
}

// countUseless shuts the gate after too many in a row, or after few in a long
// time: at night a shop has one job, and its outage would be told by morning. The
// breaker begins to count anew with each of its windows, in which few calls that
// hang to their timeout never become many.
func (g *Gate) countUseless(a capture.Answer) {
	g.mu.Lock()
	now := time.Now()
	if g.useless == 0 {
		g.onlyCode, g.silent = a.Code, now
	} else if a.Code != g.onlyCode {
		g.onlyCode = ""
	}
	g.useless++
	enough := g.useless >= breakerInARow || g.useless >= breakerFew && now.Sub(g.silent) >= breakerSilent
	many := g.reason == "" && enough
	g.mu.Unlock()
	if many {
		g.shut(g.down(), false)
	}
}

// down is the reason where the gateway is down. A code that we don't know does
// not say that it works: it may be the one of a maintenance, through which
// every trade would be announced and asked about in vain. But the network is
// not where to look then.
func (g *Gate) down() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.useless < breakerInARow || g.onlyCode == "" {
		return gatewayDown
	}
	return fmt.Sprintf("%s: it answers, but only with code %.20s", gatewayDown, g.onlyCode)
}

// maxHold bounds how long the gateway may ask not to be called.
const maxHold = 5 * time.Minute

// hold shuts the gate for as long as the gateway asked not to be called, by
// anyone: a job that called again sooner would only be told the same.
func (g *Gate) hold(wait time.Duration) {
	wait = min(wait, maxHold)
	g.mu.Lock()
	if until := time.Now().Add(wait); until.After(g.heldUntil) {
		g.heldUntil = until
	}
	open := g.reason == ""
	g.held = g.held || open
	g.mu.Unlock()
	if open {
		g.shut(fmt.Sprintf("the gateway asks not to be called for %s (Retry-After)", wait.Round(time.Second)), false)
	}
}

// Shut returns why no jobs are taken, "" while they are: the gateway cannot be
// used, or the intake is paused because of what it refuses.
func (g *Gate) Shut() string {
	if reason := g.unusable(); reason != "" {
		return reason
	}
	if g.cfg.Intake != nil {
		return g.cfg.Intake.PausedFor()
	}
	return ""
}

// unusable returns why the gateway is not to be called, "" if it may be.
func (g *Gate) unusable() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reason
}

// Down reports that the gateway gives no useful answers, or asked not to be
// called.
func (g *Gate) Down() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reason != "" && !g.halted
}

// Guard returns the guard of the intake, nil if there is none.
func (g *Gate) Guard() IntakeGuard {
	if g.cfg.Intake == nil {
		return nil
	}
	return g.cfg.Intake.Guard()
}

// Paused reports that no jobs are taken because of what the gateway refuses.
func (g *Gate) Paused() bool { return g.cfg.Intake != nil && g.cfg.Intake.PausedFor() != "" }

// await waits until jobs may be taken. With a permit it is one job.
func (g *Gate) await(ctx context.Context) (*permit, error) {
	if err := g.WaitOpen(ctx); err != nil || g.cfg.Intake == nil {
		return nil, err
	}
	return g.cfg.Intake.await(ctx)
}

// Calls is how many gateway calls are in flight.
func (g *Gate) Calls() int { return g.slots.taken() }

// Waiting is how many jobs wait for the rate limit or a turn.
func (g *Gate) Waiting() int { return g.turns.length() }

// Halted reports that the gate is shut because our key or user was refused,
// which takes a person, and not because the gateway is down.
func (g *Gate) Halted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reason != "" && g.halted
}

// WaitOpen waits until the gateway may be called or ctx ends. It does not wait
// for an intake that is paused.
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
		g.hasty = halted && g.well >= wellEnough*g.cfg.Concurrency
		g.well, g.vain = 0, 0
		g.tell.shut(reason, g.saw)
	}
	if !first {
		g.held = false // the time alone does not open it any more
	}
	g.reason, g.halted = reason, halted
	g.mu.Unlock()
	if !first {
		return
	}
	select {
	case g.shutNow <- struct{}{}:
	default:
	}
}

func (g *Gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reason != "" {
		g.tell.opened(g.reason)
		g.reason, g.held = "", false
		close(g.reopened)
	}
}

// Run probes whenever the gate is shut, until ctx ends.
func (g *Gate) Run(ctx context.Context) {
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
		case <-g.shutNow:
		}
		g.mu.Lock()
		hasty := g.hasty
		g.mu.Unlock()
		if hasty {
			// It may be one trade's bytes that are refused, and then the others
			// need not wait. Never where most are: each probe that passes lets
			// as many out as there are slots.
			g.probe(ctx)
		}
		tick := time.NewTicker(g.cfg.ProbeEvery)
		for g.unusable() != "" && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-tick.C:
				g.tryOpen(ctx)
			}
		}
		tick.Stop()
	}
}

// tryOpen opens a gate that was held once the time is over, without a question;
// any other needs a probe that passes.
func (g *Gate) tryOpen(ctx context.Context) {
	g.mu.Lock()
	held, wait := g.held, time.Until(g.heldUntil)
	g.mu.Unlock()
	switch {
	case wait > 0: // as it asked
	case held:
		g.open()
	default:
		g.probe(ctx)
	}
}

// probe asks about a trade: the last one that was told of, and every other time
// one that the gateway cannot know, for it may be that one trade over which the
// gateway stumbles. Any answer that is about the trade passes, also that there
// is no such trade: our key and user were accepted. Where these were refused,
// so does any code of the gateway's own but -1000.
func (g *Gate) probe(ctx context.Context) {
	report, err := g.breaker.Allow()
	if err != nil {
		return // still open; half-open comes with time
	}
	g.mu.Lock()
	trade := g.lastTrade
	if g.vain%2 == 1 {
		trade = capture.ProbeTradeID
	}
	g.vain++
	g.mu.Unlock()
	answer := g.cfg.Query(ctx, trade)
	err = g.assess(answer)
	report(err)
	accepted := g.Halted() && answer.Code != "" && answer.Code != capture.CodeInternal
	if (err == nil || accepted) && !answer.OurFault() {
		g.open()
		return
	}
	g.mu.Lock()
	g.tell.probed(g.reason, sawIn(answer))
	g.mu.Unlock()
}
