package capture

import "time"

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
	Doubted    bool
	Errors     int // -1000 answers to the present request_id
	IDRefusals int // -4118 answers since the start or the last release

	// What Order Query said since the last call, release or outcome. Times are
	// those of the question.
	Queries   int
	LastQuery time.Time
	Agreeing  Agreement
	RetryAt   time.Time
	// Of the queries that the gateway took: one that was never sent, or that it
	// refused for a fault of ours, has asked nothing.
	LastAsked  time.Time
	SilentFrom time.Time // since then none told anything to build on; zero where the last one did

	OpenedAt   time.Time // first event since the start, the last release or the last outcome
	NotifiedAt time.Time // last verified notification
	Outcome    *Event    // the outcome that stands, nil while there is none
	// Dismissed: a person has closed the case of a parked trade. It says
	// nothing about the money: the trade stays parked, and the truth may still
	// correct it.
	Dismissed bool
}

// Agreement is a run of Order Queries that said the same.
type Agreement struct {
	What Sight
	At   []time.Time
}

// Sight is what a query showed, as far as agreement goes.
type Sight string

// The sights that have to agree before anything follows from them.
const (
	SawAuthorized Sight = "authorized"
	SawNoTrade    Sight = "no such trade"
)

// Fold adds up the events of a trade in ledger order.
func Fold(events []Event) State {
	var s State
	for i := range events {
		s.Add(&events[i])
	}
	return s
}

// Add folds one more event into a state that nobody else holds; copies made of
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
	case Released:
		s.forgetQueries()
		s.Outcome, s.OpenedAt, s.Dismissed = nil, e.Time, false
		s.Errors, s.IDRefusals = 0, 0
		s.Phase = s.callPhase()
	case Dismissed:
		s.Dismissed = s.Phase == PhaseParked
	case Captured, Failed, Parked:
		s.settled(e)
	}
}

func (s *State) attempted(e *Event) {
	s.Doubted = s.Doubted || s.Unanswered
	if e.RequestID != s.RequestID {
		s.Errors = 0
	}
	if e.Job != nil {
		s.Job = *e.Job
	}
	s.Attempt, s.Call, s.RequestID, s.LeaseUntil = e.Attempt, e.Call, e.RequestID, e.LeaseUntil
	s.Unanswered, s.Answer, s.AnsweredAt = true, Answer{}, time.Time{}
	s.Outcome, s.Phase, s.NewAsk, s.Dismissed = nil, PhaseCalling, false, false
	s.forgetQueries()
}

func (s *State) answered(e *Event) {
	if e.Answer == nil || e.Call != s.Call {
		return
	}
	s.Unanswered, s.Answer, s.AnsweredAt = false, *e.Answer, e.Time
	s.Doubted = s.Doubted || e.Answer.Lost() || e.Answer.Code == CodeInternal
	switch e.Answer.Code {
	case CodeInternal:
		s.Errors++
	case CodeRequestID:
		s.IDRefusals++
	}
	// The call ended later than we thought when we last asked.
	s.forgetQueries()
	s.RetryAt = e.RetryAt
	if s.Outcome == nil {
		s.Phase = s.callPhase()
	}
}

// settled takes an outcome. One that a capture call's answer proved is that
// answer too: the call is over.
func (s *State) settled(e *Event) {
	if e.Via == ViaCapture && e.Answer != nil && e.Call == s.Call {
		s.Unanswered, s.Answer, s.AnsweredAt = false, *e.Answer, e.Time
	}
	s.Doubted = s.Doubted || s.Unanswered
	s.forgetQueries()
	outcome := *e
	s.Outcome, s.OpenedAt, s.Dismissed = &outcome, time.Time{}, false
	s.NewAsk = s.NewAsk || (e.Job != nil && s.Call > 0)
	s.Phase = Phase(e.Type)
}

func (s *State) queried(e *Event) {
	s.Doubted = s.Doubted || (s.Unanswered && !e.Time.Before(s.LeaseUntil))
	s.Queries++
	s.LastQuery, s.RetryAt = e.Time, e.RetryAt
	if e.Answer == nil {
		return
	}
	s.LastQuery = e.Answer.askedAt(e.Time)
	s.Agreeing = s.Agreeing.with(*e.Answer, s.LastQuery)
	s.asked(e.Answer)
}

func (s *State) asked(answer *Answer) {
	if answer.Kind == AnswerNotSent || answer.OurFault() {
		return
	}
	s.LastAsked = s.LastQuery
	switch sight, _ := answer.sight(); {
	case sight != "":
		s.SilentFrom = time.Time{}
	case s.SilentFrom.IsZero():
		s.SilentFrom = s.LastAsked
	}
}

// with adds one query. A query that told nothing neither agrees nor
// contradicts; one that told something else starts over.
func (a Agreement) with(answer Answer, at time.Time) Agreement {
	sight, told := answer.sight()
	switch {
	case !told:
		return a
	case sight == "":
		return Agreement{}
	case sight != a.What:
		return Agreement{What: sight, At: []time.Time{at}}
	}
	// A fresh slice: states are values, and two must not share a tail.
	run := make([]time.Time, len(a.At), len(a.At)+1)
	copy(run, a.At)
	return Agreement{What: sight, At: append(run, at)}
}

// askedAt is when the question was sent whose answer came at the given time.
// An answer says what was true then, and may have travelled long.
func (a Answer) askedAt(came time.Time) time.Time { return came.Add(-a.Latency) }

// sight sorts the answer to an Order Query; told is false where it says
// nothing about the trade.
func (a Answer) sight() (sight Sight, told bool) {
	switch {
	case a.NoSuchTrade():
		return SawNoTrade, true
	case a.Kind != AnswerDone || a.Order == nil:
		return "", false
	case a.Order.State.Class() == OrderIsOpen:
		return SawAuthorized, true
	}
	return "", true
}

func (s *State) forgetQueries() {
	s.Queries, s.LastQuery, s.Agreeing, s.RetryAt = 0, time.Time{}, Agreement{}, time.Time{}
	s.LastAsked, s.SilentFrom = time.Time{}, time.Time{}
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
