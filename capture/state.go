package capture

import (
	"slices"
	"time"
)

// Phase is where a trade stands.
type Phase string

// The phases of a trade.
const (
	PhaseNew      Phase = "new"      // no capture call of ours is in the ledger
	PhaseCalling  Phase = "calling"  // the last intent has no answer in the ledger
	PhaseAnswered Phase = "answered" // the last call was answered, and that did not settle it
	PhaseCaptured Phase = "captured"
	PhaseFailed   Phase = "failed"
	PhaseParked   Phase = "parked"
)

// Phases lists the phases.
func Phases() []Phase {
	return []Phase{PhaseNew, PhaseCalling, PhaseAnswered, PhaseCaptured, PhaseFailed, PhaseParked}
}

// State is what the events of one trade add up to. The zero State is a trade
// of which the ledger holds nothing.
type State struct {
	Phase  Phase // "" is PhaseNew
	Events int   // how many events were folded

	// The job is the last intent's; before the first call, the one that was
	// asked about. Its TradeID is empty where the ledger holds none.
	Job        Job
	Attempt    int // how many request_ids were used
	Call       int // how many capture calls were announced
	RequestID  string
	LeaseUntil time.Time
	CallSum    Amount // what the last call asked for; a later job may ask for another sum

	// NewAsk: the job is one of which no call was made yet; the calls and
	// answers below are of an ask that failed before it.
	NewAsk bool

	// What came back from the last call. Unanswered: nothing is written down,
	// so the call may be under way until the lease ends, and after that its
	// answer is lost.
	Unanswered bool
	Answer     Answer
	AnsweredAt time.Time

	// Doubted: some call of this trade may have taken effect for all that its
	// end told, ever: no answer came, or -1000.
	Doubted bool

	// Of request_ids. IDs and IDRefusals count since the start or since an
	// operator last sent the trade back to work.
	IDs        int // request_ids used
	IDCalls    int // calls made with the present one
	Errors     int // -1000 answers to the present one
	IDRefusals int // -4118 answers to one that was never sent before

	// RefusedOtherwise: a capture call was refused, and not because its time was
	// over, since the trade last failed or was sent back to work.
	RefusedOtherwise bool
	// AnswerExcused: the last call was answered while the intake was paused.
	AnswerExcused bool

	// Unsettling counts the answers that settled nothing.
	Unsettling Tally

	// What Order Query said since the last call, release or outcome. Times are
	// those of the question.
	Queries   int
	LastQuery time.Time
	Agreeing  Agreement
	RetryAt   time.Time
	// Contradicted: a query said something else than the run of agreeing ones
	// before it.
	Contradicted bool
	// AuthorizedSum is what the last query that says authorized showed, zero if
	// it showed no sum.
	AuthorizedSum Amount
	// HighestSum is the largest authorized sum that any query of the trade showed.
	HighestSum Amount
	// SumAccepted: an operator has sent the trade back to work since, so that what
	// the job says was authorized is of the past too.
	SumAccepted bool
	// Of the queries that the gateway took: one that was never sent, or that it
	// refused for a fault of ours, has asked nothing.
	LastAsked  time.Time
	SilentFrom time.Time // since then none told anything to build on; zero where the last one did

	OpenedAt   time.Time // first event since the start, the last release or the last outcome
	CreatedAt  time.Time // when the authorization was made, as Order Query tells it
	NotifiedAt time.Time // last verified notification
	// NotifiedPaid is the time of a verified notification that says paid and is
	// newer than the last intent, zero if there is none.
	NotifiedPaid time.Time
	Outcome      *Event // the outcome that stands, nil while there is none
	// FailedRequests are the requests that failed, since the start or since an
	// operator last sent the trade back to work.
	FailedRequests []FailedRequest
	// Withdrawn: no capture call is made any more, unless an operator retries the
	// trade.
	Withdrawn bool
	// Dismissed: an operator has closed the case of a parked trade. It says
	// nothing about the money: the trade stays parked, and the truth may still
	// correct it.
	Dismissed bool
}

// FailedRequest is what a job asked for and did not get.
type FailedRequest struct {
	Job    Job
	Reason string // of the failed outcome
}

// Tally counts the answers to capture calls and queries that settled nothing:
// refusals that no query explained, and codes that the gateway's table does not
// have. Answers of -1000 and -4118, lost ones and states in progress are not
// among them, nor those that came while the intake was paused.
type Tally struct {
	Count int
	Since time.Time // when the first of them came
	Code  string    // the code that all of them carry, "" if they differ
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

// Fold adds up the events of a trade in ledger order.
func Fold(events []Event) State {
	var s State
	for i := range events {
		s.Add(&events[i])
	}
	return s
}

// Add folds one more event into a state that the caller alone holds; copies made of
// the state before are not changed. It keeps a copy of the event, whose Job and
// Answer it shares. An event of a type it does not know is counted and changes
// nothing else.
func (s *State) Add(e *Event) {
	s.Events++
	if !e.Type.known() {
		return // a newer program's; what it carries may mean anything
	}
	if s.Phase == PhaseCaptured {
		return // captured is never taken back, whatever a broken writer appends
	}
	// With an outcome standing, only an event of another ask (it brings its job)
	// opens the trade again.
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

// reopen sends the trade back to work: an operator has dealt with what stood in
// its way, so that what was counted, and a refusal, are of the past. A call in
// doubt stays in doubt.
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
	// The call ended later than we thought when we last asked.
	s.forgetQueries()
	s.RetryAt = e.RetryAt
	if s.Outcome == nil {
		s.Phase = s.callPhase()
	}
}

// count holds the answer of a capture call against the trade.
func (s *State) count(e *Event) {
	if reason := e.Answer.Refusal(); reason != "" && reason != ReasonWindowExceeded {
		s.RefusedOtherwise = true
	}
	switch a := e.Answer; {
	case a.Code == CodeInternal:
		s.Errors++
	case a.Code == CodeRequestID && s.IDCalls == 1:
		// To an id that was sent before it says nothing: the gateway may refuse
		// what it has seen.
		s.IDRefusals++
	case a.unsettling(ViaCapture):
		s.Unsettling = s.Unsettling.with(a.Code, e.Time)
	}
}

// settled takes an outcome. One that a capture call's answer proved is that
// answer too: the call is over.
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
		// A fresh slice: states are values, and two must not share a tail.
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

// callEnded is the moment by which the last call is over: when its answer was
// written down, or when its lease ends. Zero where there was no call.
func (s *State) callEnded() time.Time {
	if s.Unanswered {
		return s.LeaseUntil
	}
	return s.AnsweredAt
}

// callLost reports that the last call ended, or will have ended, without an
// answer that says what became of it.
func (s *State) callLost() bool { return s.Unanswered || s.Answer.Lost() }

// Lost reports an answer after which the request may still be under way: a
// timeout, a broken connection, a proxy's error page, "accepted". A plain
// -1000 is not lost: the gateway has ended that request. A "done" that settled
// nothing did not agree with what was asked, and is trusted no further.
func (a Answer) Lost() bool {
	return a.Kind == AnswerUnknown && a.Code != CodeInternal || a.Kind == AnswerDone
}

// unsettling reports whether the answer is one of those that a Tally counts.
// Whether a refusal is explained shows only later.
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
