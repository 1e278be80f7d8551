package capture_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// brief is a policy with which every interesting moment is seconds away.
var brief = capture.Policy{
	Settle: 4 * time.Second, Agree: 2, Spacing: time.Second, GiveUpAfter: 12 * time.Second,
	MaxAnswers: 2, AnswersFor: 9 * time.Second, MaxIDs: 2, Final: 7 * time.Second,
}

const (
	briefLease = 3 * time.Second
	briefRetry = 2 * time.Second
)

// world is one trade as it may be: our ledger, the clock, and the truth at the
// gateway that we cannot see. It is a value; moves return new ones.
type world struct {
	now    time.Time
	events []capture.Event
	state  capture.State
	job    capture.Job // the job being delivered
	again  bool        // not for the first time
	path   string      // the moves that led here, for a failure's message

	// The truth.
	gone    capture.OrderState // "" while the authorization lives, else dead, refunded, …
	taken   capture.Amount     // the money taken, zero while none is
	foreign bool               // by another hand than ours
	shows   time.Time          // until then a query may not see it yet
	behind  bool               // and that is longer than the settle time
	flying  capture.Amount     // a lost request that may still take it
	lands   time.Time          // it does so before this, or never

	slow     int  // the number of a call whose worker has its answer, unwritten
	slowDone bool // what that answer says
	spent    map[string]bool

	judgements []string // the row that judged in the last move
}

func (w world) append(e capture.Event) world {
	e.ID, e.Time, e.Worker, e.TradeID = fmt.Sprintf("e%d", len(w.events)+1), w.now, "w", "T1"
	if e.Type == capture.Attempted {
		e.LeaseUntil = w.now.Add(briefLease)
		if e.RequestID == "" {
			e.RequestID = fmt.Sprintf("request%021d", e.Attempt)
		}
	}
	if e.Type == capture.Answered || e.Type == capture.Queried {
		e.RetryAt = w.now.Add(briefRetry)
	}
	w.events = append(w.events[:len(w.events):len(w.events)], e)
	w.state.Add(&e)
	return w
}

func (w world) did(format string, args ...any) world {
	w.path += " → " + fmt.Sprintf(format, args...)
	return w
}

// once spends a token, so that a move is made a single time on a path.
func (w world) once(token string) (world, bool) {
	if w.spent[token] {
		return w, false
	}
	spent := map[string]bool{token: true}
	for k := range w.spent {
		spent[k] = true
	}
	w.spent = spent
	return w, true
}

// land takes the money of the request that is still on its way.
func (w world) land() world {
	w.taken, w.shows, w.flying = w.flying, w.lands, capture.Amount{}
	return w.did("lands")
}

// alive reports whether a capture can take effect.
func (w world) alive() bool { return w.gone == "" && w.taken.IsZero() }

// hidden reports whether a query that shows authorized may be followed by one that
// shows paid without a call.
func (w world) hidden() bool {
	return (!w.flying.IsZero() && w.gone == "" && w.now.Before(w.lands)) || (!w.taken.IsZero() && w.now.Before(w.shows))
}

// key tells worlds apart as far as the future goes.
func (w world) key() string {
	s, b := w.state, new(strings.Builder)
	at := func(t time.Time) {
		switch d := t.Sub(w.now); {
		case t.IsZero():
			b.WriteString(" -")
		default:
			fmt.Fprintf(b, " %d", max(-25*time.Second, min(d, 45*time.Second))/time.Second)
		}
	}
	fmt.Fprint(b, w.again, w.behind, s.RefusedOtherwise, s.AnswerExcused, s.CallSum, s.Withdrawn, s.Contradicted, s.AuthorizedSum, s.HighestSum, s.SumAccepted, min(s.IDs, 3), min(s.IDCalls, 2),
		min(s.Unsettling.Count, 2), s.Unsettling.Code, len(s.FailedRequests))
	at(s.Unsettling.Since)
	at(s.NotifiedPaid)
	fmt.Fprint(b, s.Phase, min(s.Events, 1), s.Job.Amount, s.Job.AuthorizedAmount, s.RequestID == "", s.NewAsk,
		s.Unanswered, s.Answer.Kind, s.Answer.Code, s.Doubted, min(s.Errors, 3), min(s.IDRefusals, 2), min(s.Queries, 1), s.Agreeing.What)
	for _, t := range append(s.Agreeing.At, s.LeaseUntil, s.AnsweredAt, s.LastQuery, s.LastAsked, s.RetryAt, s.OpenedAt, s.NotifiedAt,
		s.Job.Deadline(capture.AuthorizationWindow), w.job.Deadline(capture.AuthorizationWindow), w.shows, w.lands) {
		at(t)
	}
	if !s.SilentFrom.IsZero() {
		fmt.Fprint(b, " silent ", min(s.LastAsked.Sub(s.SilentFrom), brief.Settle))
		at(s.SilentFrom)
	}
	if s.Outcome != nil {
		fmt.Fprint(b, s.Outcome.Type, s.Outcome.Reason, s.Outcome.Amount)
	}
	fmt.Fprint(b, w.job.Amount, w.gone, w.taken, w.foreign, w.flying, s.Call-w.slow, w.slow, w.slowDone, len(w.spent), w.spent)
	return b.String()
}

// pass lets time go by. A request on its way lands in between, or never does.
func (w world) pass(to time.Time) []world {
	before := w
	w.now = to
	w = w.did("wait %s", to.Sub(before.now))
	if w.flying.IsZero() || to.Before(w.lands) {
		return []world{w}
	}
	never := w
	never.flying = capture.Amount{}
	if !w.alive() {
		return []world{never}
	}
	return []world{never, w.land()}
}
