package sim

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/reconcile"
)

// This file has the other activities on a trade: the gateway's notifications, a
// batch that reconciles it, the shop that withdraws its job, and an operator who
// releases or retries it.

// helper returns the process that gets a notification or a withdrawal.
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

// rumour chooses whether there is a genuine notification with a wrong state.
func (s *Sim) rumour(a *account) {
	d := s.dice(onUntrue, a.no)
	if s.meets(onUntrue, d) == NotifyUntrue {
		s.after(d.between(saltLong, 0, 5*time.Minute), func() { s.notified(a.no, d) })
	}
}

// notified processes a verified notification: it is recorded, then its trade is
// resolved.
func (s *Sim) notified(trade int, d dice) {
	p := s.helper(d)
	if p == nil {
		return
	}
	id, a := s.name(trade), s.bank.accounts[trade]
	said := capture.Notification{Type: "payment", State: capture.OrderPaid, Amount: a.plan.Authorized}
	if len(a.taken) > 0 {
		said.Amount = a.taken[0].amount
		said.PaidTime = strconv.FormatInt(epoch.Add(a.taken[0].at).Unix(), 10)
	}
	p.spawn(p.name()+" notification "+id, trade, func() {
		ctx := context.Background()
		t, err := p.resolver.Recorder.Open(ctx, id)
		if err != nil || t.State.Events == 0 {
			return
		}
		e := &capture.Event{Type: capture.Notified, Notification: &said}
		if _, err := p.resolver.Recorder.Record(ctx, t, e); err != nil {
			return // the gateway sends it again, or the trade's schedule settles it
		}
		_, _ = p.resolver.Resolve(ctx, id)
	})
}

// withdraw withdraws a trade's job: it appends a guarded event, and repeats that
// until the event is in the ledger or the trade is captured.
func (s *Sim) withdraw(trade, tries int) {
	if tries >= operatorTries {
		return
	}
	again := func() { s.after(30*time.Second, func() { s.withdraw(trade, tries+1) }) }
	p := s.helper(s.dice(onRelease, trade))
	if p == nil {
		again()
		return
	}
	id, done := s.name(trade), false
	s.after(4*time.Minute, func() {
		if !done {
			s.withdraw(trade, tries+1)
		}
	})
	p.spawn(p.name()+" withdraws "+id, trade, func() {
		_, err := p.resolver.Recorder.Withdraw(context.Background(), reconcile.WithdrawalRequest{
			ID: fmt.Sprintf("withdrawal-%d", trade), TradeID: id, By: "shop", Note: "returned",
		})
		done = err == nil
	})
}

// withdrawOrder is a withdrawal of a trade's order: the workers know it from now on,
// and the trade is withdrawn as soon as the ledger knows it.
func (s *Sim) withdrawOrder(trade int) {
	order := s.plan.Trades[trade].order()
	s.withdrawn[order] = s.now
	s.note("order %s is withdrawn", order)
	s.withdrawKnown(trade, 0)
}

func (s *Sim) withdrawKnown(trade, tries int) {
	switch {
	case len(s.book.events[trade]) > 0:
		s.withdraw(trade, 0)
	case tries < operatorTries:
		s.after(time.Minute, func() { s.withdrawKnown(trade, tries+1) })
	}
}

// orderWithdrawn is what a worker knows of the withdrawn orders.
func (p *proc) orderWithdrawn(order string) (reconcile.WithdrawalRequest, bool) {
	p.s.current.checked = p.s.now
	since, is := p.s.withdrawn[order]
	return reconcile.WithdrawalRequest{ID: fmt.Sprintf("withdrawal-%s-%d", order, since), OrderID: order, By: "shop", Note: "returned"}, is
}

// look processes a trade like a batch of reconcile.
func (s *Sim) look(trade int) {
	p := s.helper(s.dice(onNotify, trade))
	if p == nil {
		return
	}
	id := s.name(trade)
	p.spawn(p.name()+" reconcile "+id, trade, func() {
		_, _ = p.resolver.Resolve(context.Background(), id)
	})
}

// operatorTries limits how often an operator repeats an action on one trade.
const operatorTries = 20

// sendBack releases a parked trade or retries a failed one like an operator, until
// that has succeeded or is refused permanently.
func (s *Sim) sendBack(trade, tries int, retry bool) {
	done, verb := s.released, "releases"
	if retry {
		done, verb = s.retried, "retries"
	}
	if done[trade] || tries >= operatorTries {
		return
	}
	again := func() { s.sendBack(trade, tries+1, retry) }
	s.after(time.Minute, again)
	p, id := s.desk, s.name(trade)
	var t *task
	t = p.spawn("operator "+verb+" "+id, trade, func() {
		releaser := reconcile.Releaser{
			Recorder: p.resolver.Recorder, Query: s.bank.Query, By: "operator", Note: "reconciled", Retry: retry,
			Publish: func(_ context.Context, job capture.Job, _ string) error { return s.publishAgain(t, job) },
		}
		release, err := releaser.Release(context.Background(), id)
		s.note("%s: %s %s, error: %v", t.name, release.Result, release.Why, err)
		was := done[trade]
		done[trade] = err == nil && release.Result != reconcile.ResultRefused
		if was && err != nil {
			// An earlier try has succeeded and no other was to follow, but this one
			// may have opened the trade again.
			s.after(time.Minute, again)
		}
	})
}

// publishAgain publishes the job of a released or retried trade again.
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
