package capture

import "time"

// Agreement is a run of Order Queries with the same result.
type Agreement struct {
	What Sight
	At   []time.Time
}

// Sight is the result of a query for the purpose of agreement.
type Sight string

// The results of which several have to agree before they count.
const (
	SawAuthorized Sight = "authorized"
	SawNoTrade    Sight = "no such trade"
)

func (s *State) queried(e *Event) {
	s.Doubted = s.Doubted || (s.Unanswered && !e.Time.Before(s.LeaseUntil))
	s.Queries++
	s.LastQuery, s.RetryAt = e.Time, e.RetryAt
	if e.Answer == nil {
		return
	}
	s.LastQuery = e.Answer.askedAt(e.Time)
	if e.Excused && e.Answer.Kind != AnswerDone {
		return
	}
	before := s.Agreeing.What
	s.Agreeing = s.Agreeing.with(*e.Answer, s.LastQuery)
	s.Contradicted = s.Contradicted || before != "" && s.Agreeing.What != before
	s.asked(e.Answer)
	if e.Answer.unsettling(ViaQuery) {
		s.Unsettling = s.Unsettling.with(e.Answer.Code, e.Time)
	}
	s.AuthorizedSum = s.shown(e)
}

// shown stores the authorization that an Order Query showed. It returns the
// authorized sum: zero if the order is not open, the last known one if the query
// did not show it.
func (s *State) shown(e *Event) Amount {
	order := e.Answer.Order
	if e.Answer.Kind != AnswerDone || order == nil {
		return s.AuthorizedSum
	}
	s.createdAt(UnixSeconds(order.CreatedAt), e.Time)
	if order.State.Class() != OrderIsOpen {
		return Amount{}
	}
	s.raise(order.Amount)
	return order.Amount
}

// raise keeps the highest authorized sum. A sum in another currency than the job's
// cannot be compared and is ignored.
func (s *State) raise(sum Amount) {
	ours := s.Job.TradeID == "" || s.Job.Amount.Currency() == sum.Currency()
	if ours && (s.HighestSum.Currency() != sum.Currency() || s.HighestSum.less(sum)) {
		s.HighestSum = sum
	}
}

// oldest is the greatest age at which an authorization's created_at is accepted: a
// deadline must not come from a wrong time.
const oldest = 400 * 24 * time.Hour

func (s *State) createdAt(at, seen time.Time) {
	if at.After(seen.Add(-oldest)) && at.Before(seen.Add(24*time.Hour)) {
		s.CreatedAt = at
	}
}

// Deadline returns the moment from which no capture call of the trade is made:
// the job's, else the end of the window that began at CreatedAt, else the zero
// time.
func (s *State) Deadline(window time.Duration) time.Time { return s.deadlineOf(&s.Job, window) }

func (s *State) deadlineOf(job *Job, window time.Duration) time.Time {
	deadline := job.Deadline(window)
	if deadline.IsZero() && !s.CreatedAt.IsZero() {
		return s.CreatedAt.Add(window)
	}
	return deadline
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

// with returns the agreement with one more query. A query without a result neither
// agrees nor contradicts; a different result starts a new run.
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
	// A new slice: states are values, and two states must not share an array.
	run := make([]time.Time, len(a.At), len(a.At)+1)
	copy(run, a.At)
	return Agreement{What: sight, At: append(run, at)}
}

// askedAt returns the time when the query was sent whose answer came at the given
// time. The answer shows the state at the time of the query.
func (a Answer) askedAt(came time.Time) time.Time { return came.Add(-a.Latency) }

// sight returns the result of an Order Query; told is false if the answer shows
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
