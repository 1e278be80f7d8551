package sim

import (
	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
)

// finish checks the final state, when no event is left.
func (s *Sim) finish() {
	if s.found != nil && !s.plan.Measure {
		return
	}
	if s.patience == settleWithin {
		s.Counts.Settling = max(s.Counts.Settling, s.settledAt-max(s.plan.FaultsEnd, s.published))
	}
	// A reconcile over all trades finds results that came late (rule 11).
	s.now = max(s.now, s.plan.FaultsEnd)
	for i := range s.plan.Trades {
		if s.plan.Wild || s.lost[i] {
			s.look(i)
		}
	}
	s.play()
	for _, m := range s.queue.messages {
		if !m.settled {
			s.breach("liveness", "%s is never settled", m.name)
		}
	}
	for i, a := range s.bank.accounts {
		s.checkEnd(i, a)
		s.Counts.trade(s.book.events[i], len(a.taken))
	}
}

// checkEnd compares a trade's ledger with the gateway's true state.
func (s *Sim) checkEnd(trade int, a *account) {
	events := s.book.events[trade]
	s.checkAudit(trade)
	job, asked := onlyJob(a.plan)
	last := audit.Standing(events)
	switch {
	case last == nil && !asked:
		return // no job names the trade; it may be withdrawn
	case last == nil && s.lost[trade]:
		s.Counts.LeftOpen++ // its job was done before the ledger lost the events; reconcile lists the trade
		return
	case last == nil:
		s.breach("liveness", "%s has no outcome", a.plan.ID)
		return
	case !a.plan.Taken.IsZero(), s.lost[trade]:
		return // captured by another system, or by an intent that the ledger lost: checkOutcome has compared the sums
	}
	truth := audit.Truth{TradeID: a.plan.ID, State: a.state(s.now)}
	for _, e := range a.taken {
		truth.Captures = append(truth.Captures, audit.Capture{Amount: e.amount, RequestID: e.id, At: epoch.Add(e.at)})
	}
	for _, v := range audit.Compare(events, truth, job) {
		s.breach(v.Rule, "%s", v)
	}
}

// onlyJob returns the job of a trade whose jobs all have the same request, nil if
// they differ. asked is false if no readable job names the trade.
func onlyJob(t *TradePlan) (only *capture.Job, asked bool) {
	for _, j := range t.Jobs {
		if j.Malformed != "" {
			continue
		}
		if asked && (only == nil || only.Amount != j.Job.Amount) {
			return nil, true
		}
		only, asked = &j.Job, true
	}
	return only, asked
}
