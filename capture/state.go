package capture

import (
	"slices"
	"time"
)

// Phase is the phase of a trade.
type Phase string

// The phases of a trade.
const (
	PhaseNew      Phase = "new"      // no capture call of ours is in the ledger
	PhaseCalling  Phase = "calling"  // the last intent has no answer in the ledger
	PhaseAnswered Phase = "answered" // the answer to the last call did not settle the trade
	PhaseCaptured Phase = "captured"
	PhaseFailed   Phase = "failed"
	PhaseParked   Phase = "parked"
)

// Phases lists the phases.
func Phases() []Phase {
	return []Phase{PhaseNew, PhaseCalling, PhaseAnswered, PhaseCaptured, PhaseFailed, PhaseParked}
}

// State is the fold of the events of one trade. The zero State is a trade without
// events.
type State struct {
	Phase  Phase // "" is PhaseNew
	Events int   // how many events were folded

	// Job is the job of the last intent; before the first call, that of the first
	// query. Its TradeID is empty if the ledger holds no job.
	Job        Job
	Attempt    int // how many request_ids were used
	Call       int // how many capture calls were announced
	RequestID  string
	LeaseUntil time.Time
	CallSum    Amount // the sum that the last call requested; a later job may request another

	// NewAsk means that no call was made for Job yet; the calls and answers below
	// belong to a request that failed before.
	NewAsk bool

	// The answer to the last call. If it is missing, the call may be under way
	// until the lease ends; after that its answer is lost.
	Unanswered bool
	Answer     Answer
	AnsweredAt time.Time

	// Doubted means that a call of this trade ended without an answer, or with
	// -1000, and may have taken effect.
	Doubted bool

	// The request_ids. IDs and IDRefusals count from the start, or from the last
	// release or retry by an operator.
	IDs        int // request_ids used
	IDCalls    int // calls made with the current one
	Errors     int // -1000 answers to the current one
	IDRefusals int // -4118 answers to ones that were never sent before

	// RefusedOtherwise means that a capture call was refused for another reason
	// than its time, since the trade last failed, was released or retried.
	RefusedOtherwise bool
	// AnswerExcused means that the last call was answered while the intake was
	// paused.
	AnswerExcused bool

	// Unsettling counts the answers that settled nothing.
	Unsettling Tally

	// The Order Queries since the last call, release or outcome. Times are those of
	// the query, not of its answer.
	Queries   int
	LastQuery time.Time
	Agreeing  Agreement
	RetryAt   time.Time
	// Contradicted means that a query differed from the run of agreeing ones before
	// it.
	Contradicted bool
	// AuthorizedSum is the sum in the last query that shows authorized, zero if it
	// showed no sum.
	AuthorizedSum Amount
	// HighestSum is the highest authorized sum in any query of the trade.
	HighestSum Amount
	// SumAccepted means that an operator has released or retried the trade since
	// then, so that the job's authorized_amount is outdated too.
	SumAccepted bool
	// The queries that the gateway accepted. A query that was not sent, or was
	// refused for a fault of ours, does not count.
	LastAsked  time.Time
	SilentFrom time.Time // since then no query had a usable result; zero if the last one had

	OpenedAt   time.Time // first event since the start, the last release or the last outcome
	CreatedAt  time.Time // when the authorization was made, as Order Query shows it
	NotifiedAt time.Time // last verified notification
	// NotifiedPaid is the time of a verified notification that says paid and is
	// newer than the last intent, zero if there is none.
	NotifiedPaid time.Time
	Outcome      *Event // the outcome that stands, nil while there is none
	// FailedRequests holds the requests that failed since the start, or since an
	// operator last released or retried the trade.
	FailedRequests []FailedRequest
	// Withdrawn means that no capture call is made any more, unless an operator
	// retries the trade.
	Withdrawn bool
	// Dismissed means that an operator has closed the case of a parked trade. The
	// trade stays parked, and a later outcome may still correct it.
	Dismissed bool
}

// FailedRequest is the request of a job that failed.
type FailedRequest struct {
	Job    Job
	Reason string // the reason of the failed outcome
}

// Tally counts answers to capture calls and queries that settled nothing: refusals
// that no query explained, and codes that the gateway's table does not have. It
// does not count answers of -1000 and -4118, lost answers, states in progress and
// answers that came while the intake was paused.
type Tally struct {
	Count int
	Since time.Time // when the first of them came
	Code  string    // the code of all of them, "" if they differ
}

func (t Tally) with(code string, at time.Time) Tally {
	switch {
	case t.Count == 0:
		return Tally{Count: 1, Since: at, Code: code}
	case t.Code != code:
		t.Code = ""
	}
	t.Count++
	return t
}

// Fold returns the state after the events of a trade, which are in ledger order.
func Fold(events []Event) State {
	var s State
	for i := range events {
		s.Add(&events[i])
	}
	return s
}

// Add folds one more event into a state that only the caller holds; earlier copies
// of the state are not changed. It keeps a copy of the event, which shares Job and
// Answer with the event. An event of an unknown type is counted and changes nothing
// else.
func (s *State) Add(e *Event) {
	s.Events++
	if !e.Type.known() {
		return // written by a newer program, its members may mean anything
	}
	if s.Phase == PhaseCaptured {
		return // captured is never replaced, whatever is appended after it
	}
	// After an outcome only an event of another request, which carries its job,
	// reopens the trade.
	if s.OpenedAt.IsZero() && (s.Outcome == nil || e.Job != nil) {
		s.OpenedAt = e.Time
	}
	if e.Job != nil && (s.Job.TradeID == "" || e.Type.Outcome()) {
		s.Job = *e.Job
	}
	switch e.Type {
	case Attempted:
		s.attempted(e)
	case Answered:
		s.answered(e)
	case Queried:
		s.queried(e)
	case Notified:
		s.NotifiedAt = e.Time
		if e.Notification.SaysPaid() {
			s.NotifiedPaid = e.Time
		}
	case Released:
		s.reopen(e)
	case Retried:
		s.reopen(e)
		s.FailedRequests, s.Withdrawn = nil, false
		if e.Job != nil {
			s.Job = *e.Job
		}
	case Withdrawn:
		s.Withdrawn = true
	case Dismissed:
		s.Dismissed = s.Phase == PhaseParked
	case Captured, Failed, Parked:
		s.settled(e)
	}
}

// reopen applies a release or a retry by an operator: counters and refusals are
// reset. A call in doubt stays in doubt.
func (s *State) reopen(e *Event) {
	s.forgetQueries()
	s.Outcome, s.OpenedAt, s.Dismissed, s.NotifiedPaid = nil, e.Time, false, time.Time{}
	s.Errors, s.IDRefusals, s.IDs, s.Unsettling = 0, 0, 0, Tally{}
	s.RefusedOtherwise = false
	s.HighestSum, s.SumAccepted = Amount{}, true
	if s.Answer.Refusal() != "" {
		s.Answer = Answer{}
	}
	s.Phase = s.callPhase()
}

func (s *State) attempted(e *Event) {
	s.Doubted = s.Doubted || s.Unanswered
	if e.RequestID != s.RequestID {
		s.Errors, s.IDCalls = 0, 0
		s.IDs++
	}
	s.IDCalls++
	if e.Job != nil {
		s.Job, s.CallSum = *e.Job, e.Job.Amount
	}
	s.Attempt, s.Call, s.RequestID, s.LeaseUntil = e.Attempt, e.Call, e.RequestID, e.LeaseUntil
	s.Unanswered, s.Answer, s.AnsweredAt, s.AnswerExcused = true, Answer{}, time.Time{}, false
	s.Outcome, s.Phase, s.NewAsk, s.Dismissed = nil, PhaseCalling, false, false
	s.NotifiedPaid = time.Time{}
	s.forgetQueries()
}

func (s *State) answered(e *Event) {
	if e.Answer == nil || e.Call != s.Call {
		return
	}
	s.Unanswered, s.Answer, s.AnsweredAt = false, *e.Answer, e.Time
	s.Doubted = s.Doubted || e.Answer.Lost() || e.Answer.Code == CodeInternal
	s.AnswerExcused = e.Excused
	if !e.Excused {
		s.count(e)
	}
	// The call ended after the last query.
	s.forgetQueries()
	s.RetryAt = e.RetryAt
	if s.Outcome == nil {
		s.Phase = s.callPhase()
	}
}

// count applies the answer of a capture call to the counters.
func (s *State) count(e *Event) {
	if reason := e.Answer.Refusal(); reason != "" && reason != ReasonWindowExceeded {
		s.RefusedOtherwise = true
	}
	switch a := e.Answer; {
	case a.Code == CodeInternal:
		s.Errors++
	case a.Code == CodeRequestID && s.IDCalls == 1:
		// For an id that was sent before it proves nothing: the gateway may refuse
		// an id that it has seen.
		s.IDRefusals++
	case a.unsettling(ViaCapture):
		s.Unsettling = s.Unsettling.with(a.Code, e.Time)
	}
}

// settled applies an outcome. An outcome proved by the answer of a capture call is
// that answer too: the call is over.
func (s *State) settled(e *Event) {
	if e.Via == ViaCapture && e.Answer != nil && e.Call == s.Call {
		s.Unanswered, s.Answer, s.AnsweredAt = false, *e.Answer, e.Time
	}
	if e.Via == ViaQuery && e.Answer != nil {
		s.shown(e)
	}
	s.Doubted = s.Doubted || s.Unanswered
	s.forgetQueries()
	outcome := *e
	s.Outcome, s.OpenedAt, s.Dismissed = &outcome, time.Time{}, false
	s.Unsettling = Tally{}
	if e.Type == Failed {
		s.RefusedOtherwise = false
		// A new slice: states are values, and two states must not share an array.
		s.FailedRequests = append(slices.Clip(slices.Clone(s.FailedRequests)), FailedRequest{Job: s.Job, Reason: e.Reason})
	}
	s.NewAsk = s.NewAsk || (e.Job != nil && s.Call > 0)
	s.Phase = Phase(e.Type)
}

func (s *State) forgetQueries() {
	s.Queries, s.LastQuery, s.Agreeing, s.RetryAt = 0, time.Time{}, Agreement{}, time.Time{}
	s.LastAsked, s.SilentFrom = time.Time{}, time.Time{}
	s.Contradicted, s.AuthorizedSum = false, Amount{}
}

func (s *State) callPhase() Phase {
	switch {
	case s.Call == 0:
		return PhaseNew
	case s.Unanswered:
		return PhaseCalling
	}
	return PhaseAnswered
}

// callEnded returns the time by which the last call is over: when its answer was
// written, or when its lease ends. It is zero if there was no call.
func (s *State) callEnded() time.Time {
	if s.Unanswered {
		return s.LeaseUntil
	}
	return s.AnsweredAt
}

// callLost reports whether the last call ended, or its lease will end, without an
// answer that shows its result.
func (s *State) callLost() bool { return s.Unanswered || s.Answer.Lost() }

// Lost reports whether the request may still be under way after the answer: a
// timeout, a broken connection, a proxy's error page, "accepted". A plain -1000 is
// not lost: the gateway has ended that request. A "done" that settled nothing is
// lost: it did not agree with the request and is not trusted.
func (a Answer) Lost() bool {
	return a.Kind == AnswerUnknown && a.Code != CodeInternal || a.Kind == AnswerDone
}

// unsettling reports whether a Tally counts the answer. Only a later query shows
// whether a refusal is explained.
func (a Answer) unsettling(via Via) bool {
	switch {
	case a.Code == "" || a.Code == CodeInternal || a.Code == CodeRequestID || a.Kind == AnswerNotSent || a.OurFault():
		return false
	case a.Order != nil && a.Order.State.Class() == OrderIsMoving:
		return false
	case via == ViaQuery:
		return a.Kind != AnswerDone && !a.NoSuchTrade()
	}
	return a.Kind == AnswerUnknown || a.Refusal() != ""
}
