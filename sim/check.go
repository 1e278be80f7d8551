package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/worker"
)

// Violation is an invariant that a history broke.
type Violation struct {
	Rule   string // the number in docs/rules.md, or a name for an invariant without one
	Detail string
	At     time.Duration
}

// String returns the violation as one line.
func (v Violation) String() string { return fmt.Sprintf("rule %s at %s: %s", v.Rule, v.At, v.Detail) }

// breach records the first violation and ends the history. In a plan that measures,
// it counts the violation and the history continues.
func (s *Sim) breach(rule, format string, args ...any) {
	if s.plan.Measure && rule != "busy loop" && rule != "liveness" {
		s.Counts.broken(rule)
		return
	}
	if s.found == nil {
		s.found = &Violation{Rule: rule, Detail: fmt.Sprintf(format, args...), At: s.now}
		s.note("VIOLATION %s", s.found)
	}
}

// checkCalling compares a capture call with the simulated gateway's state at the
// moment when its first byte is sent.
func (s *Sim) checkCalling(x *exchange, r gateway.CaptureRequest) {
	s.Counts.Calls++
	s.checkPace(x.a)
	p, id := x.t.p, x.a.plan.ID
	if owner, used := s.asked[r.RequestID]; used && owner != id {
		s.breach("4", "%s: request_id %s is that of %s", id, r.RequestID, owner)
	}
	s.asked[r.RequestID] = id
	if p.barred && !s.plan.Wild {
		s.breach("9", "%s calls for %s though the gateway refused its key and no probe has passed", p.name(), id)
	}
	intent := lastIntent(s.book.events[x.a.no])
	switch {
	case s.plan.Wild && announced(s.book.events[x.a.no], r.RequestID):
		return
	case intent == nil || intent.RequestID != r.RequestID || intent.Worker != p.name() || intent.Job.Amount != r.Amount:
		s.breach("1", "%s calls for %s with %s, which is not what the ledger announced last", p.name(), id, r.RequestID)
		return
	case !p.clock().Before(intent.LeaseUntil):
		s.breach("2", "%s calls for %s after its lease ended", p.name(), id)
	}
	if d := intent.Job.Deadline(capture.AuthorizationWindow); !d.IsZero() && !p.clock().Before(d) {
		s.breach("10", "%s calls for %s at %s, after the deadline %s", p.name(), id, p.clock(), d)
	}
	s.checkEarlier(x, r.Amount)
}

// harmless reports whether a call that may still take effect cannot capture in
// addition to the next one: both request the whole authorized sum, and the gateway
// answered the earlier one with -1000 (rule 3).
func (a *account) harmless(earlier *call, asks capture.Amount) bool {
	return earlier.failed && earlier.amount == asks && asks == a.plan.Authorized
}

func announced(events []capture.Event, id string) bool {
	return slices.ContainsFunc(events, func(e capture.Event) bool { return e.Type == capture.Attempted && e.RequestID == id })
}

func lastIntent(events []capture.Event) *capture.Event {
	for _, e := range slices.Backward(events) {
		if e.Type == capture.Attempted {
			return &e
		}
	}
	return nil
}

// checkEarlier checks that no earlier call may still take effect, and that a query
// asked after the end of the last one showed authorized, within the difference of
// the clocks.
func (s *Sim) checkEarlier(x *exchange, asks capture.Amount) {
	a := x.a
	ended := time.Duration(-1)
	for _, c := range a.calls {
		if c.live && !a.harmless(c, asks) {
			s.breach("3", "a capture call for %s while the call of %s may still take effect", a.plan.ID, c.sent)
		}
		ended = max(ended, c.ended)
	}
	if ended < 0 && x.t.again && len(a.looks) == 0 {
		s.breach("2", "a first capture call for %s by a redelivery, without a query", a.plan.ID)
	}
	asked := func(l sighting) bool { return l.asked >= ended-2*skewBy }
	if ended >= 0 && !slices.ContainsFunc(a.looks, asked) {
		s.breach("2", "another capture call for %s without a query after %s that showed authorized", a.plan.ID, ended)
	}
}

// checkPace checks the rate of gateway calls for one trade.
func (s *Sim) checkPace(a *account) {
	for len(a.recent) > 0 && a.recent[0] < s.now-time.Minute {
		a.recent = a.recent[1:]
	}
	// Several jobs of one trade may query it at once.
	jobs := 0
	for _, m := range s.queue.messages {
		if m.trade == a.no {
			jobs++
		}
	}
	if a.recent = append(a.recent, s.now); len(a.recent) > max(maxCallsInRow, maxCallsOfJob*jobs) {
		s.breach("busy loop", "%d gateway calls for %s within a minute", len(a.recent), a.plan.ID)
	}
}

// checkTaken checks that a trade is captured once, and not at all after it was
// failed.
func (s *Sim) checkTaken(a *account) {
	if len(a.taken) > 1 {
		s.breach("3", "%s is captured %d times: by %s and %s", a.plan.ID, len(a.taken), a.taken[0].id, a.taken[1].id)
	}
	if last := audit.Standing(s.book.events[a.no]); !s.plan.Wild && last != nil && last.Type == capture.Failed {
		s.breach("5", "%s was failed (%s), and is captured now", a.plan.ID, last.Reason)
	}
}

// checkAppended compares a new event of the ledger with the true state, and all
// events of its trade with the rules.
func (s *Sim) checkAppended(t *task, e capture.Event) {
	a, events := s.bank.accounts[t.trade], s.book.events[t.trade]
	s.Counts.row(e.Rule)
	s.checkSequel(t, a, events[:len(events)-1], e)
	if e.Type.Outcome() {
		s.Counts.outcome(e)
		s.checkOutcome(t, a, e)
	}
	if e.Type.Outcome() || e.Type == capture.Attempted {
		s.checkAudit(t.trade)
	}
	if e.Type == capture.Parked && a.plan.Release > 0 && !s.released[t.trade] {
		s.after(a.plan.Release, func() { s.sendBack(t.trade, 0, false) })
	}
	if e.Type == capture.Failed && a.plan.Retry > 0 && !s.retried[t.trade] {
		s.after(a.plan.Retry, func() { s.sendBack(t.trade, 0, true) })
	}
}

func (s *Sim) checkAudit(trade int) {
	for _, v := range audit.Events(s.name(trade), s.book.events[trade], s.policy) {
		s.breach(v.Rule, "%s", v)
	}
}

// refusedReasons holds the reasons of outcomes that follow from refusals.
var refusedReasons = []string{
	capture.ReasonTradeIncorrect, capture.ReasonAmountExceeded, capture.ReasonCurrencyMismatch, capture.ReasonRequestRefused,
	capture.ReasonRefusalContradicted, capture.ReasonUnknownCode, capture.ReasonTradeUnknown,
}

func (s *Sim) checkOutcome(t *task, a *account, e capture.Event) {
	// An answer that shows the order comes from the right account.
	shown := e.Answer != nil && e.Answer.Kind == capture.AnswerDone && e.Type == capture.Parked
	if t.excused && e.Via == capture.ViaQuery && slices.Contains(refusedReasons, e.Reason) && !shown {
		s.breach("9", "%s is %s (%s) while the intake is paused", a.plan.ID, e.Type, e.Reason)
	}
	if e.Answer != nil && e.Answer.OurFault() {
		s.breach("9", "%s is %s on a refusal of our key", a.plan.ID, e.Type)
	}
	switch {
	case e.Type == capture.Captured && len(a.taken) == 0:
		s.breach("6", "%s is captured in the ledger, but not at the gateway", a.plan.ID)
	case e.Type == capture.Captured && a.taken[0].amount != e.Sum() && a.taken[0].call != nil && !s.mistakable(a):
		s.breach("6", "%s is captured with %s in the ledger, but with %s at the gateway", a.plan.ID, e.Sum(), a.taken[0].amount)
	case e.Type == capture.Failed && !s.plan.Wild:
		if len(a.taken) > 0 && !s.deniable(a, e) {
			s.breach("5", "%s is failed (%s), but captured at the gateway", a.plan.ID, e.Reason)
		}
		for _, c := range a.calls {
			if c.live && a.open(s.now) {
				s.breach("5", "%s is failed (%s), but the call of %s may still take effect", a.plan.ID, e.Reason, c.sent)
			}
		}
	}
}

// deniable reports whether a failed outcome is permitted although the money is
// taken. The ledger has no call that took it: another system captured, or the
// ledger lost the intent. And either the gateway answers that there is no such
// trade, or the job was withdrawn before the first call, so that no query was made
// (rule 13).
func (s *Sim) deniable(a *account, e capture.Event) bool {
	anotherHand := a.taken[0].call == nil
	if e.Answer == nil {
		return anotherHand && e.Reason == capture.ReasonWithdrawn
	}
	return (anotherHand || s.lost[a.no]) && e.Answer.NoSuchTrade()
}

// mistakable reports whether a capture whose intent the ledger lost looks like one
// of the whole sum.
func (s *Sim) mistakable(a *account) bool { return s.lost[a.no] && s.plan.Gateway.ShowAuthorized }

// checkDisposed checks that no job is acked or dead-lettered before an outcome that
// permits it (rules 1 and 8).
func (s *Sim) checkDisposed(m *message, d worker.Disposition) {
	s.Counts.row(d.Rule)
	has := func(fits func(e capture.Event) bool) bool {
		return slices.ContainsFunc(s.book.events[m.trade], func(e capture.Event) bool { return e.Type.Outcome() && fits(e) })
	}
	same := func(e capture.Event) bool {
		id := m.plan.Job.CaptureID
		return e.Sum() == m.plan.Job.Amount && (e.Type == capture.Failed || id == "" || id == e.CaptureID)
	}
	other := func(e capture.Event) bool { return e.Type != capture.Failed && !same(e) }
	switch {
	case m.plan.Malformed != "":
		if d.Do != worker.DeadLetter || d.Reason != m.plan.Malformed {
			s.breach("malformed", "%s should be dead-lettered as %s, not %s %s", m.name, m.plan.Malformed, d.Do, d.Reason)
		}
	case d.Do == worker.Ack && !has(same):
		s.breach("1", "%s is acked, but the ledger has no outcome for its request", m.name)
	case d.Do == worker.Ack && s.hasMoreTime(m):
		s.breach("8", "%s is acked as failed before, but has a later deadline than the failed request", m.name)
	case d.Do == worker.DeadLetter && d.Reason == deadletter.ReasonWithdrawn && s.wasWithdrawn(m.trade):
		s.Counts.Conflicts++ // the job has another request, for which no call may be made
	case d.Do == worker.DeadLetter && (d.Reason != deadletter.ReasonConflict || !has(other)):
		s.breach("8", "%s is dead-lettered as %s, but no outcome contradicts it", m.name, d.Reason)
	case d.Do == worker.DeadLetter:
		s.Counts.Conflicts++
	}
}

// wasWithdrawn reports whether the trade's job was ever withdrawn: an operator may
// have retried it since the trade was read.
func (s *Sim) wasWithdrawn(trade int) bool {
	return slices.ContainsFunc(s.book.events[trade], func(e capture.Event) bool { return e.Type == capture.Withdrawn })
}

// hasMoreTime reports whether earlier requests failed only because their time was
// over, and the job has no deadline and the gateway's is in the future.
func (s *Sim) hasMoreTime(m *message) bool {
	a, job := s.bank.accounts[m.trade], &m.plan.Job
	gateway := a.created(s.plan.Gateway).Add(s.policy.Window)
	if !job.Deadline(s.policy.Window).IsZero() || !epoch.Add(s.now+2*skewBy).Before(gateway) {
		return false
	}
	var of capture.Job
	only := true
	for _, e := range s.book.events[m.trade] {
		if e.Job != nil {
			of = *e.Job
		}
		if e.Type.Outcome() && e.Sum() == job.Amount {
			only = only && e.Reason == capture.ReasonWindowExceeded && !of.CaptureBefore.IsZero()
		}
	}
	return only
}

// checkSettled checks that all jobs are settled after the faults have stopped.
func (s *Sim) checkSettled() {
	if s.queue.open == 0 {
		return
	}
	if late := s.now - max(s.plan.FaultsEnd, s.published); late > s.patience {
		s.breach("liveness", "%d jobs are not settled %s after the last fault", s.queue.open, late)
	}
}
