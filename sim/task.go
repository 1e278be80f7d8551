package sim

import (
	"fmt"
	"iter"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// task is one activity: a coroutine that runs production code up to a boundary,
// passes the call to the scheduler, and stops until it is woken.
type task struct {
	s     *Sim
	p     *proc
	name  string
	yield func(func()) bool
	next  func() (func(), bool)
	end   func()
	done  bool
	dead  bool
	slot  bool // holds a gateway slot
	trade int  // index of its trade; -1 if none
	// excused means that its last answer came while the intake was paused.
	excused bool
	again   bool // it processes a redelivery
	// checked is when it last checked whether its order is withdrawn.
	checked time.Duration
}

// killed is the panic that unwinds the coroutine of a process that died. Deferred
// calls of production code run, but cannot cross a boundary.
type killed struct{}

// spawn starts an activity of a process.
func (p *proc) spawn(name string, trade int, body func()) *task {
	t := &task{s: p.s, p: p, name: name, trade: trade}
	t.next, t.end = iter.Pull(func(yield func(func()) bool) {
		t.yield = yield
		defer t.recover()
		body()
	})
	p.tasks = append(p.tasks, t)
	p.s.after(0, t.wake)
	return t
}

func (t *task) recover() {
	switch broke := recover(); broke.(type) {
	case nil, killed:
	default:
		t.s.breach("panic", "%s: %v", t.name, broke)
	}
}

// wake continues the coroutine, unless its process is frozen or dead.
func (t *task) wake() {
	switch {
	case t.done || t.dead:
		return
	case t.p.frozenUntil > t.s.now:
		t.s.at(t.p.frozenUntil, t.wake)
		return
	}
	before := t.s.current
	t.s.current = t
	op, more := t.next()
	t.s.current = before
	if more {
		op()
		return
	}
	t.done = true
	t.p.forget(t)
}

// kill ends the coroutine at its current boundary.
func (t *task) kill() {
	if !t.done && !t.dead {
		t.dead = true
		t.end()
	}
}

// cross passes a boundary call to the scheduler. begin runs when the call is sent,
// and makes sure that back is called when the result arrives; the effects of begin
// and its events remain even if the process dies meanwhile.
func (t *task) cross(on place, begin func(back func())) {
	if t.dead {
		panic(killed{})
	}
	s := t.s
	t.checkSlot(on)
	op := func() {
		s.pass(t, on, "out", func() {
			begin(func() { s.pass(t, on, "back", t.wake) })
		})
	}
	if !t.yield(op) {
		panic(killed{})
	}
}

// pass is one direction of a crossing. It is counted, and may have a crash point or
// a stall.
func (s *Sim) pass(t *task, on place, leg string, then func()) {
	if t.dead {
		return
	}
	s.Counts.Crossings[on]++
	s.Counts.Crossed++
	if s.Counts.Crossed == s.plan.CrashAt {
		s.note("%s dies: crash point %d, %s, %s", t.p.name(), s.plan.CrashAt, boundaryNames[on], leg)
		s.Counts.CrashPoints[on]++
		t.p.crash(crashPause)
		return
	}
	if wait := s.stall(t, on, leg); wait > 0 {
		s.note("%s pauses for %s: %s, %s", t.name, wait, boundaryNames[on], leg)
		s.after(wait, func() {
			if !t.dead {
				then()
			}
		})
		return
	}
	if leg == "back" {
		s.after(0, then)
		return
	}
	then()
}

// crashPause is the time until a worker restarts after a planned crash.
const crashPause = 3 * time.Second

// stall chooses whether the coroutine stops at a boundary for a while. A capture
// call is not held back before it is sent: there is no boundary between the last
// check of the lease and the first byte, and a freeze there is the fault
// CaptureHeldBack, which breaks an assumption.
func (s *Sim) stall(t *task, on place, leg string) time.Duration {
	if on == onCapture && leg == "out" {
		return 0
	}
	d := s.dice(onStall, t.trade)
	switch s.meets(onStall, d) {
	case StallShort:
		return d.between(saltStall, 10*time.Millisecond, 5*time.Second)
	case StallLong:
		return d.between(saltStall, 5*time.Second, 4*time.Minute)
	}
	return 0
}

// checkSlot checks that a gateway slot is held during a gateway call only, not
// during other waits (rule 10).
func (t *task) checkSlot(on place) {
	if t.slot && on != onCapture && on != onQuery {
		t.s.breach("10", "%s holds a gateway slot at: %s", t.name, boundaryNames[on])
	}
}

// clock returns the time by the worker's clock.
func (p *proc) clock() time.Time { return epoch.Add(p.s.now + p.plan.Skew) }

// trueTime returns the simulated time at which the worker's clock shows t.
func (p *proc) trueTime(t time.Time) time.Duration { return t.Sub(epoch) - p.plan.Skew }

// name returns the ledger's name of a trade.
func (s *Sim) name(trade int) string {
	if trade < 0 {
		return "-"
	}
	return capture.TradeKey(s.plan.Trades[trade].ID)
}

func (s *Sim) nextID() string { s.ids++; return fmt.Sprintf("e%d", s.ids) }

func (s *Sim) mint() string { s.minted++; return fmt.Sprintf("request%021d", s.minted) }
