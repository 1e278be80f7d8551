package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/breaker"
	"github.com/capture-worker/capture-worker/worker"
)

// limiter is a model of worker.GatewayLimiter, which waits on channels and so
// cannot run in a coroutine. It has the same contract, limits and circuit breaker.
type limiter struct {
	p       *proc
	breaker *breaker.Breaker
	turns   places
	slots   places
	probing bool // probes are being made
}

func newLimiter(p *proc) *limiter {
	return &limiter{
		p: p, breaker: breaker.New(worker.BreakerConfig(p.plan.Slots, probeEvery)),
		turns: places{s: p.s, free: 2 * p.plan.Slots}, slots: places{s: p.s, free: p.plan.Slots},
	}
}

// paused reports whether no calls may be made.
func (l *limiter) paused() bool { return l.breaker.Cause() != breaker.Closed }

// places is a limited number of places with a queue.
type places struct {
	s    *Sim
	free int
	line []*claim
}

// claim is a waiting caller; got is called once, with the result.
type claim struct {
	got  func(ok bool)
	over bool
}

func (l *places) take(got func(ok bool)) *claim {
	c := &claim{got: got}
	if l.free > 0 {
		l.free--
		c.end(true)
	} else {
		l.line = append(l.line, c)
	}
	return c
}

func (c *claim) end(ok bool) {
	if !c.over {
		c.over = true
		c.got(ok)
	}
}

func (l *places) leave() {
	for len(l.line) > 0 {
		next := l.line[0]
		l.line = slices.Delete(l.line, 0, 1)
		if !next.over {
			// Not at once: a coroutine is running now.
			next.over = true
			l.s.after(0, func() { next.got(true) })
			return
		}
	}
	l.free++
}

func (l *places) giveUp() {
	for _, c := range l.line {
		c.end(false)
	}
	l.line = nil
}

// stop wakes the waiting callers; calls in progress continue.
func (l *limiter) stop() { l.turns.giveUp() }

// Acquire implements worker.Limiter.
func (l *limiter) Acquire(ctx context.Context) (release func(), err error) {
	t := l.p.s.current
	t.cross(onEnter, func(back func()) {
		switch {
		case l.paused():
			err = fmt.Errorf("%w: %s", worker.ErrPaused, l.breaker.Cause())
			back()
		case ctx.Err() != nil:
			err = ctx.Err()
			back()
		default:
			l.turns.take(func(ok bool) {
				if !ok {
					err = context.Canceled
				}
				back()
			})
		}
	})
	if err != nil {
		return nil, err
	}
	return func() {
		if !t.dead {
			l.turns.leave()
		}
	}, nil
}

// Begin implements worker.Limiter.
func (l *limiter) Begin(context.Context) (end func(capture.Answer), err error) {
	t := l.p.s.current
	var ok bool
	t.cross(onSlot, func(back func()) {
		claim := l.slots.take(func(got bool) { ok = got; back() })
		if !claim.over {
			l.p.s.after(slotWait, func() { claim.end(false) })
		}
	})
	if !ok {
		return nil, errors.New("no gateway slot became free in time")
	}
	if l.paused() {
		l.slots.leave()
		return nil, worker.ErrPaused
	}
	t.slot = true
	return func(a capture.Answer) {
		t.slot = false
		if t.dead {
			return
		}
		l.p.heard(a)
		l.observe(a)
		l.slots.leave()
	}, nil
}

// observe passes the answer of a call to the breaker.
func (l *limiter) observe(a capture.Answer) {
	if breaker.Ignored(context.Background(), a) || !l.breaker.Observe(a, l.now()) {
		return
	}
	l.p.s.note("%s pauses its calls: %s", l.p.name(), l.breaker.Cause())
	if !l.probing {
		l.probing = true
		l.p.s.after(l.breaker.Next().Sub(l.now()), l.probe)
	}
}

// now returns the time for the breaker, which is independent of wrong clocks.
func (l *limiter) now() time.Time { return epoch.Add(l.p.s.now) }

// probe queries a trade until the breaker closes.
func (l *limiter) probe() {
	if !l.p.alive || l.p.limiter != l || !l.paused() {
		l.probing = false
		return
	}
	l.p.spawn(l.p.name()+" probe", -1, func() {
		answer := l.p.s.bank.Query(context.Background(), capture.ProbeTradeID)
		if !l.breaker.Probed(answer, l.now()) {
			l.p.s.after(l.untilProbe(), l.probe)
			return
		}
		l.p.s.note("%s resumes its calls", l.p.name())
		l.probing, l.p.barred = false, false
		l.p.s.queue.poke()
	})
}

// untilProbe returns the pause before the next probe. After many failed probes it
// skips those that are certain to fail, because an outage of days would otherwise
// consist of probes only.
func (l *limiter) untilProbe() time.Duration {
	s := l.p.s
	if over := max(s.bank.downUntil, s.bank.refusesUntil); l.breaker.Failed() > 60 && over > s.now {
		return over - s.now + probeEvery
	}
	return l.breaker.Next().Sub(l.now())
}

// heard records whether the gateway refused our key, for the checks.
func (p *proc) heard(a capture.Answer) {
	if a.Kind == capture.AnswerRefused && (a.Code == capture.CodeSignature || a.Code == capture.CodeUser) {
		p.barred = true
	}
}

// delayPool is a model of worker.DelayPool.
type delayPool struct {
	p      *proc
	places int
	line   []*claim
}

// Wait implements worker.Delayer.
func (r *delayPool) Wait(ctx context.Context, until time.Time) bool {
	t := r.p.s.current
	var waited bool
	t.cross(onWait, func(back func()) {
		if ctx.Err() != nil || r.places == 0 {
			back()
			return
		}
		r.places--
		c := &claim{got: func(ok bool) { waited = ok; r.places++; back() }}
		r.line = append(r.line, c)
		r.p.s.at(r.p.trueTime(until), func() { c.end(true) })
	})
	return waited
}

func (r *delayPool) stop() {
	for _, c := range r.line {
		c.end(false)
	}
	r.line = nil
}
