package capture

import (
	"slices"
	"time"
)

// situation is everything a row of the tables may look at, and changes nothing
// of. The rows share one: copies for each would double the stack of a job.
type situation = *facts

type facts struct {
	s   *State
	job *Job // the job at hand, nil if an operator or a notification asks
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

// untouched: nothing at all is known of the trade.
func (v situation) untouched() bool { return v.s.Events == 0 }

// asksSame compares the job with what the outcome was about; of a failed trade,
// with every request that failed, whichever capture it was for: no money was taken.
func (v situation) asksSame() bool {
	switch {
	case v.job == nil || v.s.Outcome == nil:
		return true
	case v.s.Outcome.Type == Failed:
		return slices.ContainsFunc(v.s.FailedRequests, v.failedBefore)
	}
	return v.s.Outcome.Sum() == v.job.Amount && !v.anotherCapture()
}

// anotherCapture: the job names a capture, and the outcome is that of another one,
// or of one without a name. A second parcel may cost what the first did.
func (v situation) anotherCapture() bool {
	return v.job.CaptureID != "" && v.job.CaptureID != v.s.Outcome.CaptureID
}

// failedBefore: the job asks for what failed. If time was what it failed for, a
// job that leaves more of it is another request, as long as that is ahead. More,
// not only ahead: where the gateway's window is shorter than ours, the same job
// would be called again without end.
func (v situation) failedBefore(failed FailedRequest) bool {
	if failed.Job.Amount != v.job.Amount {
		return false
	}
	return failed.Reason != ReasonWindowExceeded || !v.moreTime(v.deadlineOf(v.job), v.deadlineOf(&failed.Job))
}

// moreTime reports whether a deadline, zero if there is none, is ahead and later
// than the one that was over.
func (v situation) moreTime(deadline, over time.Time) bool {
	if deadline.IsZero() {
		return !over.IsZero()
	}
	return deadline.After(v.now) && (over.IsZero() || deadline.After(over))
}

func (v situation) deadlineOf(job *Job) time.Time { return v.s.deadlineOf(job, v.p.Window) }

// deadline of what an open trade is about; zero if none is known.
func (v situation) deadline() time.Time { return v.deadlineOf(v.intent()) }

// reopened: the trade failed, and the job at hand asks for something else.
func (v situation) reopened() bool {
	return v.phase() == PhaseFailed && !v.s.Withdrawn && !v.asksSame()
}

// notifiedPaid: a notification newer than the last intent says paid. Until an
// Order Query says so too, nothing else may be called or concluded (rule 11).
func (v situation) notifiedPaid() bool { return !v.s.NotifiedPaid.IsZero() }

func (v situation) withdrawn() bool { return v.s.Withdrawn }

// neverCalled: no capture call was announced for the open trade, as far as a
// ledger can tell that has lost nothing.
func (v situation) neverCalled() bool {
	return v.s.Call == 0 && v.s.Outcome == nil && !v.p.AskFirst && !v.notifiedPaid()
}

// inDoubt: some call of the trade may have taken effect for all that we know.
func (v situation) inDoubt() bool { return v.s.Doubted || v.s.callLost() }

// open: no outcome stands in the way of the job at hand.
func (v situation) open() bool { return v.s.Outcome == nil || v.reopened() }

// intent is the job that an open trade is about: the one in the ledger, so
// that a retry repeats exactly its request; else the job of the delivery.
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

// asksFirst: even the first call is preceded by a query (rule 2).
func (v situation) asksFirst() bool { return v.p.AskFirst }

func (v situation) leaseRuns() bool { return v.s.Unanswered && v.now.Before(v.s.LeaseUntil) }

// windowOver: no capture call is allowed any more.
func (v situation) windowOver() bool {
	deadline := v.deadline()
	return !deadline.IsZero() && !v.now.Before(deadline)
}

// exhausted: we asked, and asked, and do not know. The gateway took a query when
// it was already time to give up, and either told nothing that we can build on
// for as long as a lost call needs to settle, or agreed, but after a call made
// that late. A long stop of ours is so not taken for a long silence of the
// gateway, nor what it refuses for a fault of ours.
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

// newAsk: no call was made yet for what is asked now; the last one was for an
// ask that failed.
func (v situation) newAsk() bool { return v.reopened() || v.s.NewAsk }

// mints: the next call carries a new request_id.
func (v situation) mints() bool {
	return v.s.RequestID == "" || v.newAsk() || v.idSpent()
}

// idSpent: the gateway will not serve the present request_id.
func (v situation) idSpent() bool {
	return v.s.Answer.Code == CodeRequestID || v.s.Errors >= maxErrors
}

// newIDsRefused: the gateway refuses request_ids that it cannot have seen.
func (v situation) newIDsRefused() bool {
	return !v.newAsk() && v.s.Answer.Code == CodeRequestID && v.s.IDRefusals >= maxIDRefusals
}

// idsUsedUp: the next call would need a request_id more than a trade may use.
func (v situation) idsUsedUp() bool { return v.mints() && v.s.IDs >= v.p.MaxIDs }

// cleared: Order Query has said often enough, and late enough, that the trade
// is still authorized, and nothing forbids another call. After a refusal that no
// query explained the settle time is over too: its cause may be passing, and
// five calls must not be spent in seconds.
func (v situation) cleared() bool {
	if v.s.Agreeing.What != SawAuthorized || v.callsForbidden() {
		return false
	}
	if v.mayLand() || v.idSpent() || v.refused() {
		return v.quiet(v.s.Agreeing)
	}
	return v.askedSinceCall(v.s.Agreeing)
}

// callsForbidden: whatever Order Query says, no further capture call is made.
func (v situation) callsForbidden() bool {
	return v.notifiedPaid() || v.withdrawn() || v.deadAnswer() || v.newIDsRefused() || v.lowered(v.s.AuthorizedSum) || v.s.Unsettling.Count >= v.p.MaxAnswers
}

// mayLand: the last call may yet take effect. After -1000 that is so for a part
// of the authorized sum: a second partial capture might take effect beside the
// first.
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

// refused: the gateway said no to the open request. Order Query explains it or
// does not (rule 5).
func (v situation) refused() bool {
	return !v.newAsk() && !v.s.Unanswered && v.s.Answer.Refusal() != ""
}

// deadAnswer: the capture call itself was answered with a dead order state, as
// declined. Calling again is not the way on.
func (v situation) deadAnswer() bool {
	return v.refused() && v.s.Answer.Code == CodeSuccess && !v.s.AnswerExcused
}

// askedSinceCall: at least one of the queries was made after the last call
// ended.
func (v situation) askedSinceCall(a Agreement) bool {
	return len(a.At) > 0 && !lastOf(a).Before(later(v.s.callEnded(), v.p.AskSince))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// quiet: after the settle time, enough queries agreed, far enough apart, that
// no earlier request is believed to land any more (rule 3).
func (v situation) quiet(a Agreement) bool {
	return len(v.settled(a)) >= v.p.Agree
}

// settled picks the agreeing queries that count: made after the settle time,
// each at least the spacing after the one before.
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

// dueAt is when the next call or query may be made. The zero time is now.
func (v situation) dueAt() time.Time {
	due := v.scheduled()
	news := v.s.NotifiedAt
	if news.After(v.s.LastQuery) && news.After(v.s.callEnded()) && news.Before(due) {
		return news // not before: the clock of who wrote it down may be ahead
	}
	return due
}

// scheduled is dueAt if no notification came.
func (v situation) scheduled() time.Time {
	switch {
	case v.cleared() && !v.windowOver():
		return time.Time{}
	case !v.lastQueryAgreed() || v.s.Contradicted || v.quiet(v.s.Agreeing):
		return v.s.RetryAt
	}
	// The way on is agreement: the next query that counts is worth asking then,
	// not when the backoff happens to end.
	next := v.s.callEnded().Add(v.p.Settle)
	if counted := v.settled(v.s.Agreeing); len(counted) > 0 {
		next = counted[len(counted)-1].Add(v.p.Spacing)
	} else if v.s.RetryAt.Before(next) {
		next = v.s.RetryAt
	}
	return next
}

// lastQueryAgreed: the last query belongs to the run of agreeing ones.
func (v situation) lastQueryAgreed() bool {
	n := len(v.s.Agreeing.At)
	return n > 0 && v.s.Agreeing.At[n-1].Equal(v.s.LastQuery)
}

// outcome drafts an outcome event; the shell fills in id, time and worker.
func (v situation) outcome(t EventType, reason string) *Event {
	e := v.draft(t)
	job := v.intent()
	e.Reason, e.Amount, e.Currency, e.CaptureID = reason, job.Amount.Number(), job.Amount.Currency(), job.CaptureID
	// A second ask that fails too, or cannot be resolved, has an end of its own:
	// it corrects nothing.
	ownEnd := t == Failed || reason == ReasonUnresolved || reason == ReasonTradeUnknown || reason == ReasonUnknownCode
	if v.s.Outcome != nil && !(v.reopened() && ownEnd) {
		e.Corrects = v.s.Outcome.ID
	}
	return e
}

// draft starts an event of the trade. Where the ledger does not hold the job
// yet, the event does, so that its readers know what was requested.
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
