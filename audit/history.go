package audit

import (
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// history is what a reader remembers while walking the events of one trade.
type history struct {
	trade string // the spelling that the ledger uses
	p     capture.Policy
	found []Violation

	seen      int             // events read
	ids       map[string]bool // their ids
	spelling  string          // of the trade_id in the first job
	createdAt time.Time       // of the authorization, as Order Query showed it

	calls   []call
	looks   []look          // Order Queries since the last call's end, release, retry or outcome
	asked   *capture.Job    // what the trade is about
	ever    []capture.Job   // every job of the trade
	outcome *capture.Event  // the one that stands
	newJob  bool            // the trade failed and ended again for another job, not called yet
	errors  map[string]int  // -1000 answers by request_id
	refused map[string]bool // request_ids answered -4118
	failed  []request       // the requests that failed, since the start or the last retry

	highest   sums // authorized sums, as queries show and jobs say them
	withdrawn bool // by nobody retried since
	reopened  bool // released or retried, not called since

	stretch stretch
	round   round
}

// stretch is the time since the start of the trade, or since an operator last
// sent it back to work. The counts that park a trade begin anew with it.
type stretch struct {
	first        time.Time // of the first event since then or since the last outcome
	ids          int       // new request_ids used
	idsRefused   int       // -4118 to a request_id that was never sent before
	inconclusive tally     // all that may count as an answer that settles nothing
	notifiedPaid time.Time // a notification that says paid, newer than the last intent
}

// round is the time since the start, or since the trade last failed or was sent
// back. What forbids a further call begins anew with it.
type round struct {
	firstCall    int   // index of its first call
	inconclusive tally // what surely counts as an answer that settles nothing
	idsRefused   int
	dead         capture.OrderState // what a capture call's answer said of the order
}

// tally counts and remembers when it began.
type tally struct {
	n     int
	first time.Time
}

func (t *tally) add(at time.Time) {
	if t.n == 0 {
		t.first = at
	}
	t.n++
}

// request is what a failed trade was asked.
type request struct {
	sum      capture.Amount
	deadline time.Time
	limited  bool // its own job says the deadline
	window   bool // it failed because its time was over
}

// call is one announced capture call.
type call struct {
	event     capture.Event
	fresh     bool            // its request_id was never sent before
	answer    *capture.Answer // nil: none in the ledger
	ended     time.Time       // when it was over at the latest
	overtaken bool            // the trade went on without its answer
	highest   sums            // authorized sums shown right before and since the call, or since a release or retry
	excused   bool            // answered while the intake was paused for a fault of ours
}

// Events checks the events of one trade, in ledger order, against the rules
// that can be read off them: 1 to 11 and 13. Times are those of the events; p
// is the policy the worker ran with. A trade that is still under way breaks no
// rule by that.
func Events(trade string, events []capture.Event, p capture.Policy) []Violation {
	h := &history{
		trade: key(trade), p: p.OrDefault(), ids: map[string]bool{}, highest: sums{},
		errors: map[string]int{}, refused: map[string]bool{},
	}
	h.begin(time.Time{})
	for _, e := range events {
		h.read(e)
	}
	return h.found
}

func (h *history) add(rule string, e capture.Event, format string, args ...any) {
	h.found = append(h.found, Violation{
		TradeID: h.trade, Rule: rule, EventID: e.ID, Detail: fmt.Sprintf(format, args...),
	})
}

func (h *history) read(e capture.Event) {
	h.identity(e)
	h.afterCaptured(e)
	if h.stretch.first.IsZero() {
		h.stretch.first = e.Time
	}
	if e.Job != nil {
		h.highest.raise(e.Job.AuthorizedAmount)
	}
	if e.Job != nil && h.asked == nil {
		h.asked = e.Job
	}
	switch e.Type {
	case capture.Attempted:
		h.checkAttempt(e)
		h.attempted(e)
	case capture.Answered:
		h.checkAnswer(e)
		h.answered(e)
	case capture.Queried:
		h.look(e)
		h.checkLook(e)
	case capture.Notified:
		h.notified(e)
	case capture.Released, capture.Retried:
		h.checkReopened(e)
		h.reopen(e)
	case capture.Withdrawn:
		h.withdrawn = true
	case capture.Dismissed:
		h.checkDismissal(e)
	case capture.Captured, capture.Failed, capture.Parked:
		h.look(e)
		h.countOutcome(e)
		h.checkOutcome(e)
		h.settled(e)
	}
	h.seen++
}

// begin starts a stretch and a round.
func (h *history) begin(at time.Time) {
	h.stretch = stretch{first: at}
	h.round = round{firstCall: len(h.calls)}
}

func (h *history) attempted(e capture.Event) {
	if c := h.last(); c != nil && c.answer == nil {
		c.overtaken = true
	}
	if e.Job != nil {
		h.asked = e.Job
		h.ever = append(h.ever, *e.Job)
	}
	c := call{event: e, ended: e.LeaseUntil, fresh: !h.sent(e.RequestID), highest: sums{}}
	c.highest.raise(h.shownSum())
	if c.fresh {
		h.stretch.ids++
	}
	h.calls = append(h.calls, c)
	h.outcome, h.looks, h.reopened, h.newJob = nil, nil, false, false
}

// sent reports whether a call carried the request_id.
func (h *history) sent(requestID string) bool {
	for _, c := range h.calls {
		if c.event.RequestID == requestID {
			return true
		}
	}
	return false
}

func (h *history) answered(e capture.Event) {
	c := h.last()
	if c == nil || e.Answer == nil || e.Call != c.event.Call {
		return
	}
	h.end(c, e)
	h.looks = nil
}

// end takes the answer to a capture call.
func (h *history) end(c *call, e capture.Event) {
	c.answer, c.ended, c.excused = e.Answer, e.Time, e.Excused
	h.countAnswer(c, e)
}

func (h *history) notified(e capture.Event) {
	n := e.Notification
	if n == nil || n.State.Class() != capture.OrderIsPaid || n.Type == "refund" {
		return
	}
	if h.stretch.notifiedPaid.IsZero() {
		h.stretch.notifiedPaid = e.Time
	}
}

func (h *history) reopen(e capture.Event) {
	h.outcome, h.looks, h.reopened = nil, nil, true
	for i := range h.calls {
		h.calls[i].highest = sums{} // the operator has looked at what was captured
	}
	if e.Type == capture.Retried {
		h.withdrawn, h.failed = false, nil
	}
	if e.Job != nil {
		h.asked = e.Job
		h.ever = append(h.ever, *e.Job)
	}
	h.begin(e.Time)
}

func (h *history) settled(e capture.Event) {
	if c := h.last(); c != nil && c.answer == nil {
		c.overtaken = true
	}
	if e.Job != nil {
		h.asked = e.Job
		h.ever = append(h.ever, *e.Job)
		h.newJob = len(h.calls) > 0
	}
	if e.Type == capture.Failed {
		h.failed = append(h.failed, request{
			sum: e.Sum(), deadline: h.deadlineOf(h.asked), window: e.Reason == capture.ReasonWindowExceeded,
			limited: h.asked != nil && !h.ownDeadline(h.asked).IsZero(),
		})
		h.round = round{firstCall: len(h.calls)}
	}
	h.outcome, h.looks, h.stretch.first = &e, nil, time.Time{}
}

func (h *history) last() *call {
	if len(h.calls) == 0 {
		return nil
	}
	return &h.calls[len(h.calls)-1]
}

// job is what the trade is about at this event: the intent's job, or what the
// event itself brings for another request.
func (h *history) job(e capture.Event) (capture.Job, bool) {
	switch {
	case e.Job != nil:
		return *e.Job, true
	case h.asked != nil:
		return *h.asked, true
	}
	return capture.Job{}, false
}

// deadlineOf is the moment from which no capture call is made for a job: what
// the job says, else the end of the gateway's window as Order Query shows its
// beginning (rule 10). It is zero if nothing says.
func (h *history) deadlineOf(job *capture.Job) time.Time {
	if job == nil {
		return time.Time{}
	}
	deadline := h.ownDeadline(job)
	if deadline.IsZero() && !h.createdAt.IsZero() {
		deadline = h.createdAt.Add(h.p.Window)
	}
	return deadline
}

// ownDeadline is what the job itself says, zero if it says nothing.
func (h *history) ownDeadline(job *capture.Job) time.Time {
	deadline := job.CaptureBefore
	if !job.AuthorizedAt.IsZero() {
		if end := job.AuthorizedAt.Add(h.p.Window); deadline.IsZero() || end.Before(deadline) {
			deadline = end
		}
	}
	return deadline
}
