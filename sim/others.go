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
		e := capture.Event{Type: capture.Notified, Notification: &said}
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

// release sends a parked trade back, as a person would, and its job again. The
// person tries until it has worked.
func (s *Sim) release(trade int) {
	if s.released[trade] {
		return
	}
	s.after(time.Minute, func() { s.release(trade) })
	p, id := s.desk, s.name(trade)
	p.spawn("person releases "+id, trade, func() {
		ctx := context.Background()
		found, err := p.resolver.Clerk.Reopen(ctx, id)
		if err != nil {
			return
		}
		if found.State.Phase == capture.PhaseParked {
			e := capture.Event{Type: capture.Released, By: "somebody", Note: "looked at it"}
			if found, err = p.resolver.Clerk.Record(ctx, found, e); err != nil {
				return
			}
		}
		s.released[trade] = true
		if found.State.Outcome == nil {
			s.publishAgain(trade, found)
		}
	})
}

// publishAgain makes the released trade's job a message once more.
func (s *Sim) publishAgain(trade int, found reconcile.Trade) {
	for _, j := range s.plan.Trades[trade].Jobs {
		if j.Malformed == "" && j.Job.Amount == found.State.Job.Amount {
			s.queue.publish(trade, j)
			return
		}
	}
}
