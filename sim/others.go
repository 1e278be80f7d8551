package sim

import (
	"context"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/reconcile"
)

// Besides the jobs, three others touch a trade: the gateway's notifications, a
// batch that looks at it, and a person who releases it.

// helper is the process that a notification or a person reaches.
func (s *Sim) helper(d dice) *proc {
	var up []*proc
	for _, p := range s.procs {
		if p.alive && !p.stopping {
			up = append(up, p)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[d.pick(saltWho, len(up))]
}

// announce sends a notification of a capture.
func (s *Sim) announce(trade int, paid time.Duration) {
	d := s.dice(onNotify, trade)
	fault := s.meets(onNotify, d)
	at := paid + d.between(saltWay, 10*time.Millisecond, 3*time.Second)
	switch fault {
	case NotifyLost:
		return
	case NotifyLate:
		at = paid + d.between(saltLong, 3*time.Second, 10*time.Minute)
	case NotifyTwice:
		s.at(at+d.between(saltBack, 0, time.Minute), func() { s.notified(trade, d) })
	}
	s.at(at, func() { s.notified(trade, d) })
}

// notified is a verified notification: it is written down, then resolved.
func (s *Sim) notified(trade int, d dice) {
	p := s.helper(d)
	if p == nil {
		return
	}
	id := s.name(trade)
	said := capture.Notification{Type: "payment", State: capture.OrderPaid}
	p.spawn(p.name()+" notification "+id, trade, func() {
		ctx := context.Background()
		t, err := p.resolver.Clerk.Open(ctx, id)
		if err != nil || t.State.Events == 0 {
			return
		}
		e := &capture.Event{Type: capture.Notified, Notification: &said}
		if _, err := p.resolver.Clerk.Record(ctx, t, e); err != nil {
			return // the gateway sends it again, or the schedule finds out
		}
		_, _ = p.resolver.Resolve(ctx, id)
	})
}

// look is what a batch reconcile does to a trade.
func (s *Sim) look(id string) {
	trade := s.trade(id)
	p := s.helper(s.dice(onNotify, trade))
	if p == nil {
		return
	}
	p.spawn(p.name()+" reconcile "+id, trade, func() {
		_, _ = p.resolver.Resolve(context.Background(), id)
	})
}

// releaseTries bounds how often a person tries to release one trade.
const releaseTries = 20

// release sends a parked trade back, as a person would, and tries until that
// has worked or was refused for good.
func (s *Sim) release(trade, tries int) {
	if s.released[trade] || tries >= releaseTries {
		return
	}
	s.after(time.Minute, func() { s.release(trade, tries+1) })
	p, id := s.desk, s.name(trade)
	var t *task
	t = p.spawn("person releases "+id, trade, func() {
		releaser := reconcile.Releaser{
			Clerk: p.resolver.Clerk, Query: s.bank.Query, By: "somebody", Note: "looked at it",
			Publish: func(_ context.Context, job capture.Job, _ string) error { return s.publishAgain(t, job) },
		}
		done, err := releaser.Release(context.Background(), id)
		s.note("%s: %s %s, error: %v", t.name, done.Fate, done.Why, err)
		was := s.released[trade]
		s.released[trade] = err == nil && done.Fate != reconcile.WasRefused
		if was && err != nil {
			// Another try had worked and nobody was to try again; but this one
			// may have opened the trade once more.
			s.after(time.Minute, func() { s.release(trade, tries+1) })
		}
	})
}

// publishAgain makes the released trade's job a message once more.
func (s *Sim) publishAgain(t *task, job capture.Job) (err error) {
	t.cross(onLetter, func(back func()) {
		d := s.dice(onLetter, t.trade)
		fault := s.meets(onLetter, d)
		s.after(d.between(saltWay, netLeast, netMost), func() {
			if fault == LetterFails || fault == LetterUncertain {
				err = errNetwork
			}
			if fault != LetterFails {
				s.queue.publish(t.trade, jobPlan(job, s.now))
			}
			s.after(d.between(saltBack, netLeast, netMost), back)
		})
	})
	return err
}
