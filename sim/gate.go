package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/worker"
)

// gate is a model of worker.Gate, which waits on channels and so cannot run on
// a coroutine: the same contract, the same limits.
type gate struct {
	p       *proc
	shut    string // why, "" while open
	staged  places
	slots   places
	useless int           // answers in a row
	silent  time.Duration // when the first of them came
	well    int           // useful answers since it shut
	probes  int           // since it shut
}

func newGate(p *proc) *gate {
	return &gate{p: p, staged: places{s: p.s, free: 2 * p.plan.Slots}, slots: places{s: p.s, free: p.plan.Slots}}
}

// places are a limited number of something, and the line that waits for it.
type places struct {
	s    *Sim
	free int
	line []*claim
}

// claim is one who waits; got is called once, with what became of it.
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
			// Not at once: who leaves is a coroutine that runs.
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

// stop wakes those that wait for a turn; calls under way go on.
func (g *gate) stop() { g.staged.giveUp() }

// Acquire implements worker.Turnstile.
func (g *gate) Acquire(ctx context.Context) (leave func(), err error) {
	t := g.p.s.current
	t.cross(onEnter, func(back func()) {
		switch {
		case g.shut != "":
			err = fmt.Errorf("%w: %s", worker.ErrShut, g.shut)
			back()
		case ctx.Err() != nil:
			err = ctx.Err()
			back()
		default:
			g.staged.take(func(ok bool) {
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
			g.staged.leave()
		}
	}, nil
}

// Do implements worker.Turnstile.
func (g *gate) Do(ctx context.Context, call func(context.Context) capture.Answer) capture.Answer {
	t := g.p.s.current
	var ok bool
	t.cross(onSlot, func(back func()) {
		claim := g.slots.take(func(got bool) { ok = got; back() })
		if !claim.over {
			g.p.s.after(slotWait, func() { claim.end(false) })
		}
	})
	if !ok {
		return notSent("no gateway slot became free in time")
	}
	t.slot = true
	defer func() {
		t.slot = false
		if !t.dead {
			g.slots.leave()
		}
	}()
	if g.shut != "" {
		return notSent(g.shut)
	}
	answer := call(ctx)
	g.p.heard(answer)
	_ = g.assess(answer)
	return answer
}

var errUseless = errors.New("no useful answer")

// assess is worker.Gate's: it shuts the gate on our fault, and when the gateway
// gives no useful answer often in a row.
func (g *gate) assess(a capture.Answer) error {
	switch {
	case a.OurFault():
		probeAfter := probeEvery
		if g.well >= wellEnough*g.p.plan.Slots {
			probeAfter = 0 // it may be the trade alone
		}
		g.close("the gateway refuses our signature or user", probeAfter)
		return errUseless
	case a.Kind == capture.AnswerNotSent && a.Latency == 0: // never tried
		return errUseless
	case a.Kind == capture.AnswerNotSent, a.Kind == capture.AnswerUnknown && a.Order == nil:
		if g.useless == 0 {
			g.silent = g.p.s.now
		}
		g.useless++
		if g.useless >= breakerInARow || g.useless >= breakerFew && g.p.s.now-g.silent >= breakerSilent {
			g.close("the gateway gives no useful answers", probeEvery)
		}
		return errUseless
	}
	g.useless = 0
	g.well++
	return nil
}

func (g *gate) close(why string, probeAfter time.Duration) {
	if g.shut != "" {
		return
	}
	g.shut, g.probes, g.well = why, 0, 0
	g.p.s.note("%s shuts its gate: %s", g.p.name(), why)
	g.p.s.after(probeAfter, g.probe)
}

// probe asks about a trade until that works.
func (g *gate) probe() {
	if !g.p.alive || g.p.gate != g || g.shut == "" {
		return
	}
	g.p.spawn(g.p.name()+" probe", -1, func() {
		// Any answer about a trade will do, also that there is none.
		answer := g.p.s.bank.Query(context.Background(), capture.ProbeTradeID)
		if g.assess(answer) != nil {
			g.p.s.after(g.untilProbe(), g.probe)
			return
		}
		g.p.s.note("%s opens its gate", g.p.name())
		g.shut, g.p.barred = "", false
		g.p.s.queue.poke()
	})
}

// untilProbe is the pause before the next probe. After many that failed it
// leaves out those of which it is known that they fail, too: an outage of days
// would be nothing but probes.
func (g *gate) untilProbe() time.Duration {
	s := g.p.s
	g.probes++
	if over := max(s.bank.downUntil, s.bank.refusesUntil); g.probes > 60 && over > s.now {
		return over - s.now + probeEvery
	}
	return probeEvery
}

// heard notes what the checks need: that the gateway refused our key.
func (p *proc) heard(a capture.Answer) {
	if a.Kind == capture.AnswerRefused && (a.Code == capture.CodeSignature || a.Code == capture.CodeUser) {
		p.barred = true
	}
}

// room is a model of worker.Room.
type room struct {
	p      *proc
	places int
	line   []*claim
}

// Wait implements worker.Waiter.
func (r *room) Wait(ctx context.Context, until time.Time) bool {
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

func (r *room) stop() {
	for _, c := range r.line {
		c.end(false)
	}
	r.line = nil
}
