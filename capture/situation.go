package capture

import (
	"slices"
	"time"
)

// situation holds everything that the conditions of the tables read. It is not
// changed. The rows share a pointer to it, because a copy for each row would double
// the stack of a job.
type situation = *facts

type facts struct {
	s   *State
	job *Job // the job of the delivery, nil for an operator or a notification
	now time.Time
	p   Policy
}

type condition = func(situation) bool

func always(situation) bool { return true }

func is(p Phase) condition { return func(v situation) bool { return v.phase() == p } }

func not(c condition) condition { return func(v situation) bool { return !c(v) } }

func all(conditions ...condition) condition {
	return func(v situation) bool {
		for _, c := range conditions {
			if !c(v) {
				return false
			}
		}
		return true
	}
}

func (v situation) phase() Phase {
	if v.s.Phase == "" {
		return PhaseNew
	}
	return v.s.Phase
}

// untouched reports whether the ledger holds no event of the trade.
func (v situation) untouched() bool { return v.s.Events == 0 }

// asksSame reports whether the job's request is that of the outcome; for a failed
// trade, one of those that failed, for whichever capture: no money was taken.
func (v situation) asksSame() bool {
	switch {
	case v.job == nil || v.s.Outcome == nil:
		return true
	case v.s.Outcome.Type == Failed:
		return slices.ContainsFunc(v.s.FailedRequests, v.failedBefore)
	}
	return v.s.Outcome.Sum() == v.job.Amount && !v.anotherCapture()
}

// anotherCapture reports whether the job names a capture and the outcome is that of
// another one, or of one without a name. A second parcel may cost what the first did.
func (v situation) anotherCapture() bool {
	return v.job.CaptureID != "" && v.job.CaptureID != v.s.Outcome.CaptureID
}

// failedBefore reports whether the job's request has failed. If it failed because
// its time was over, a job with a later deadline is a new request until that
// deadline. The deadline must be later, not only in the future: if the gateway's
// window is shorter than ours, the same job would be called again without end.
func (v situation) failedBefore(failed FailedRequest) bool {
	if failed.Job.Amount != v.job.Amount {
		return false
	}
	return failed.Reason != ReasonWindowExceeded || !v.moreTime(v.deadlineOf(v.job), v.deadlineOf(&failed.Job))
}

// moreTime reports whether a deadline is in the future and later than the one that
// was over. Zero means no deadline.
func (v situation) moreTime(deadline, over time.Time) bool {
	if deadline.IsZero() {
		return !over.IsZero()
	}
	return deadline.After(v.now) && (over.IsZero() || deadline.After(over))
}

func (v situation) deadlineOf(job *Job) time.Time { return v.s.deadlineOf(job, v.p.Window) }

// deadline returns the deadline of an open trade's request, zero if none is known.
func (v situation) deadline() time.Time { return v.deadlineOf(v.intent()) }

// reopened reports whether the trade failed and the job has another request.
func (v situation) reopened() bool {
	return v.phase() == PhaseFailed && !v.s.Withdrawn && !v.asksSame()
}

// notifiedPaid reports whether a notification newer than the last intent says paid.
// Until an Order Query says so too, there is no capture call and no other
// conclusion (rule 11).
func (v situation) notifiedPaid() bool { return !v.s.NotifiedPaid.IsZero() }

func (v situation) withdrawn() bool { return v.s.Withdrawn }

// neverCalled reports whether the ledger holds no intent for the open trade and has
// lost no events.
func (v situation) neverCalled() bool {
	return v.s.Call == 0 && v.s.Outcome == nil && !v.p.AskFirst && !v.notifiedPaid()
}

// inDoubt reports whether a call of the trade may have taken effect.
func (v situation) inDoubt() bool { return v.s.Doubted || v.s.callLost() }

// open reports whether no outcome ends the job of the delivery.
func (v situation) open() bool { return v.s.Outcome == nil || v.reopened() }

// intent returns the job of an open trade: the one in the ledger, so that a retry
// repeats exactly its request; else the job of the delivery.
func (v situation) intent() *Job {
	if v.s.Job.TradeID != "" && !v.reopened() {
		return &v.s.Job
	}
	if v.job == nil {
		return &Job{}
	}
	if first := v.s.Job.TradeID; first != "" && first != v.job.TradeID {
		spelt := *v.job
		spelt.TradeID = first // as the first job wrote it, so that the gateway knows it (rule 7)
		return &spelt
	}
	return v.job
}

// asksFirst reports whether a query must precede the first call (rule 2).
func (v situation) asksFirst() bool { return v.p.AskFirst }

func (v situation) leaseRuns() bool { return v.s.Unanswered && v.now.Before(v.s.LeaseUntil) }

// windowOver reports whether the deadline has passed.
func (v situation) windowOver() bool {
	deadline := v.deadline()
	return !deadline.IsZero() && !v.now.Before(deadline)
}

// exhausted reports whether the trade's result can no longer be expected. The
// gateway accepted a query after the time to give up, and for the settle time no
// query had a usable result, or queries agreed, but the last call was made after
// that time. So neither a long stop of the worker nor refusals for a fault of ours
// exhaust a trade.
func (v situation) exhausted() bool {
	if v.s.LastAsked.IsZero() || v.s.OpenedAt.IsZero() {
		return false
	}
	from := v.deadline()
	if from.IsZero() || from.Before(v.s.OpenedAt) {
		from = v.s.OpenedAt
	}
	limit := from.Add(v.p.GiveUpAfter)
	switch {
	case v.s.LastAsked.Before(limit):
		return false
	case v.s.SilentFrom.IsZero():
		return !v.s.callEnded().Before(limit)
	}
	return v.s.LastAsked.Sub(v.s.SilentFrom) >= v.p.Settle
}

// newAsk reports whether no call was made yet for the current request; the last
// call was for a request that failed.
func (v situation) newAsk() bool { return v.reopened() || v.s.NewAsk }

// mints reports whether the next call needs a new request_id.
func (v situation) mints() bool {
	return v.s.RequestID == "" || v.newAsk() || v.idSpent()
}

// idSpent reports whether the gateway will not accept the current request_id.
func (v situation) idSpent() bool {
	return v.s.Answer.Code == CodeRequestID || v.s.Errors >= maxErrors
}

// newIDsRefused reports whether the gateway refuses request_ids that it cannot have
// seen.
func (v situation) newIDsRefused() bool {
	return !v.newAsk() && v.s.Answer.Code == CodeRequestID && v.s.IDRefusals >= maxIDRefusals
}

// idsUsedUp reports whether the next call would need more request_ids than a trade
// may use.
func (v situation) idsUsedUp() bool { return v.mints() && v.s.IDs >= v.p.MaxIDs }

// cleared reports whether Order Query has shown authorized often enough and late
// enough, and nothing forbids another call. After an unexplained refusal the settle
// time must be over too: the cause may be temporary, and five calls within seconds
// would not outlast it.
func (v situation) cleared() bool {
	if v.s.Agreeing.What != SawAuthorized || v.callsForbidden() {
		return false
	}
	if v.mayLand() || v.idSpent() || v.refused() {
		return v.quiet(v.s.Agreeing)
	}
	return v.askedSinceCall(v.s.Agreeing)
}

// callsForbidden reports whether no further capture call is made, whatever Order
// Query shows.
func (v situation) callsForbidden() bool {
	return v.notifiedPaid() || v.withdrawn() || v.deadAnswer() || v.newIDsRefused() || v.lowered(v.s.AuthorizedSum) || v.s.Unsettling.Count >= v.p.MaxAnswers
}

// mayLand reports whether the last call may still take effect. After -1000 that is
// the case for a part of the authorized sum: a second partial capture might take
// effect beside the first.
func (v situation) mayLand() bool {
	internal := !v.s.Unanswered && v.s.Answer.Code == CodeInternal
	return v.s.callLost() || internal && v.s.AuthorizedSum != v.s.CallSum
}

// lowered reports whether Order Query shows a smaller authorized sum than before a
// call that is in doubt. That call may have captured the difference, so another
// one would capture twice.
func (v situation) lowered(shown Amount) bool {
	if !v.inDoubt() || shown.IsZero() {
		return false
	}
	return shown.less(v.s.HighestSum) || !v.s.SumAccepted && shown.less(v.s.Job.AuthorizedAmount)
}

// refused reports whether the gateway refused the open request. An Order Query has
// to explain that (rule 5).
func (v situation) refused() bool {
	return !v.newAsk() && !v.s.Unanswered && v.s.Answer.Refusal() != ""
}

// deadAnswer reports whether the capture call was answered with a dead order state,
// such as declined. The call is not repeated then.
func (v situation) deadAnswer() bool {
	return v.refused() && v.s.Answer.Code == CodeSuccess && !v.s.AnswerExcused
}

// askedSinceCall reports whether a query was made after the last call ended.
func (v situation) askedSinceCall(a Agreement) bool {
	return len(a.At) > 0 && !lastOf(a).Before(later(v.s.callEnded(), v.p.AskSince))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// quiet reports whether enough queries agree, after the settle time and far enough
// apart, that no earlier request can take effect any more (rule 3).
func (v situation) quiet(a Agreement) bool {
	return len(v.settled(a)) >= v.p.Agree
}

// settled returns the agreeing queries that count: made after the settle time, each
// at least the spacing after the one before.
func (v situation) settled(a Agreement) []time.Time {
	from := later(v.s.callEnded().Add(v.p.Settle), v.p.AskSince)
	var counted []time.Time
	for _, at := range a.At {
		if at.Before(from) {
			continue
		}
		counted = append(counted, at)
		from = at.Add(v.p.Spacing)
	}
	return counted
}

func (v situation) notDue() bool { return v.now.Before(v.dueAt()) }

// dueAt returns the time from which the next call or query may be made. The zero
// time means now.
func (v situation) dueAt() time.Time {
	due := v.scheduled()
	news := v.s.NotifiedAt
	if news.After(v.s.LastQuery) && news.After(v.s.callEnded()) && news.Before(due) {
		return news // not before it: the clock of the process that wrote it may be ahead
	}
	return due
}

// scheduled returns dueAt without regard to notifications.
func (v situation) scheduled() time.Time {
	switch {
	case v.cleared() && !v.windowOver():
		return time.Time{}
	case !v.lastQueryAgreed() || v.s.Contradicted || v.quiet(v.s.Agreeing):
		return v.s.RetryAt
	}
	// The trade needs agreement: the next query is due when it counts, not when the
	// backoff ends.
	next := v.s.callEnded().Add(v.p.Settle)
	if counted := v.settled(v.s.Agreeing); len(counted) > 0 {
		next = counted[len(counted)-1].Add(v.p.Spacing)
	} else if v.s.RetryAt.Before(next) {
		next = v.s.RetryAt
	}
	return next
}

// lastQueryAgreed reports whether the last query belongs to the run of agreeing
// ones.
func (v situation) lastQueryAgreed() bool {
	n := len(v.s.Agreeing.At)
	return n > 0 && v.s.Agreeing.At[n-1].Equal(v.s.LastQuery)
}

// outcome returns an outcome event without id, time and worker.
func (v situation) outcome(t EventType, reason string) *Event {
	e := v.draft(t)
	job := v.intent()
	e.Reason, e.Amount, e.Currency, e.CaptureID = reason, job.Amount.Number(), job.Amount.Currency(), job.CaptureID
	// A second request that fails or is parked has an outcome of its own, which is
	// not a correction.
	ownEnd := t == Failed || reason == ReasonUnresolved || reason == ReasonTradeUnknown || reason == ReasonUnknownCode
	if v.s.Outcome != nil && !(v.reopened() && ownEnd) {
		e.Corrects = v.s.Outcome.ID
	}
	return e
}

// draft returns an event of the trade without its details. If the ledger does not
// hold the job yet, the event does, so that its readers know the request.
func (v situation) draft(t EventType) *Event {
	job := v.intent()
	e := &Event{
		Type: t, TradeID: TradeKey(job.TradeID), OrderID: job.OrderID,
		Attempt: v.s.Attempt, Call: v.s.Call, RequestID: v.s.RequestID,
	}
	if job.TradeID != "" && (v.s.Job.TradeID == "" || v.reopened()) {
		kept := *job
		e.Job = &kept
	}
	return e
}
