package capture

import "time"

// situation is everything a row of the tables may look at, and changes nothing
// of. The rows share one: copies for each would double the stack of a job.
type situation = *facts

type facts struct {
	s   *State
	job *Job // the job at hand, nil where a person or a notification asks
	now time.Time
	p   Policy
}

type condition = func(situation) bool

func always(situation) bool { return true }

func is(p Phase) condition { return func(v situation) bool { return v.phase() == p } }

func not(c condition) condition { return func(v situation) bool { return !c(v) } }

func both(a, b condition) condition { return func(v situation) bool { return a(v) && b(v) } }

func (v situation) phase() Phase {
	if v.s.Phase == "" {
		return PhaseNew
	}
	return v.s.Phase
}

// untouched: nothing at all is known of the trade.
func (v situation) untouched() bool { return v.s.Events == 0 }

// asksSame compares the job with what the outcome was about. A failed ask may
// be asked again with a later deadline that is still ahead, if time was what it
// failed for. Later, not only ahead: where the gateway's window is shorter than
// the job's, the same job would be called again for ever.
func (v situation) asksSame() bool {
	if v.job == nil || v.s.Outcome == nil {
		return true
	}
	if v.s.Outcome.Sum() != v.job.Amount {
		return false
	}
	deadline := v.job.Deadline()
	moreTime := deadline.After(v.now) && deadline.After(v.s.Job.Deadline())
	return !(v.s.Outcome.Type == Failed && v.s.Outcome.Reason == ReasonWindowExceeded && moreTime)
}

// reopened: the trade failed, and the job at hand asks for something else.
func (v situation) reopened() bool { return v.phase() == PhaseFailed && !v.asksSame() }

// open: no outcome stands in the way of the job at hand.
func (v situation) open() bool { return v.s.Outcome == nil || v.reopened() }

// intent is the job that an open trade is about: the one in the ledger, so
// that a retry repeats its request to the letter; else the one at hand.
func (v situation) intent() *Job {
	if v.s.Job.TradeID != "" && !v.reopened() {
		return &v.s.Job
	}
	if v.job == nil {
		return &Job{}
	}
	return v.job
}

func (v situation) leaseRuns() bool { return v.s.Unanswered && v.now.Before(v.s.LeaseUntil) }

// windowOver: no capture call is allowed any more.
func (v situation) windowOver() bool {
	deadline := v.intent().Deadline()
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
	from := v.intent().Deadline()
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

// cleared: Order Query has said often enough, and late enough, that the trade
// is still authorized.
func (v situation) cleared() bool {
	if v.s.Agreeing.What != SawAuthorized || v.refusalStands() {
		return false
	}
	if v.s.callLost() || v.idSpent() {
		return v.quiet(v.s.Agreeing)
	}
	return v.askedSinceCall(v.s.Agreeing)
}

// refusalStands: the gateway gave the open ask a final no, which Order Query
// has yet to confirm. Calling again is not the way on.
func (v situation) refusalStands() bool {
	return !v.newAsk() && !v.s.Unanswered && v.s.Answer.FinalRefusal() != ""
}

// askedSinceCall: at least one of the queries was made after the last call
// ended.
func (v situation) askedSinceCall(a Agreement) bool {
	return len(a.At) > 0 && !a.At[len(a.At)-1].Before(v.s.callEnded())
}

// quiet: after the settle time, enough queries agreed, far enough apart, that
// no earlier request is believed to land any more (rule 3).
func (v situation) quiet(a Agreement) bool {
	return len(v.settled(a)) >= v.p.Agree
}

// settled picks the agreeing queries that count: made after the settle time,
// each at least the spacing after the one before.
func (v situation) settled(a Agreement) []time.Time {
	from := v.s.callEnded().Add(v.p.Settle)
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

// scheduled is dueAt where nobody brought news.
func (v situation) scheduled() time.Time {
	switch {
	case v.cleared() && !v.windowOver():
		return time.Time{}
	case !v.lastQueryAgreed():
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
	e.Reason, e.Amount, e.Currency = reason, job.Amount.Number(), job.Amount.Currency()
	// A second ask that fails too, or cannot be resolved, has an end of its own:
	// it corrects nothing.
	ownEnd := t == Failed || reason == ReasonUnresolved || reason == ReasonTradeUnknown
	if v.s.Outcome != nil && !(v.reopened() && ownEnd) {
		e.Corrects = v.s.Outcome.ID
	}
	return e
}

// draft starts an event of the trade. Where the ledger does not hold the job
// yet, the event does, so that whoever reads it knows what was asked.
func (v situation) draft(t EventType) *Event {
	job := v.intent()
	e := &Event{
		Type: t, TradeID: job.TradeID, OrderID: job.OrderID,
		Attempt: v.s.Attempt, Call: v.s.Call, RequestID: v.s.RequestID,
	}
	if job.TradeID != "" && (v.s.Job.TradeID == "" || v.reopened()) {
		kept := *job
		e.Job = &kept
	}
	return e
}
