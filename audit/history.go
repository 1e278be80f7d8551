package audit

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// history is the state while reading the events of one trade.
type history struct {
	trade string // the trade_id as the ledger spells it
	p     capture.Policy
	found []Violation

	seen      int             // events read
	ids       map[string]bool // their ids
	spelling  string          // of the trade_id in the first job
	createdAt time.Time       // of the authorization, as Order Query showed it

	calls   []call
	looks   []look          // Order Queries since the last call's end, release, retry or outcome
	asked   *capture.Job    // the current job
	ever    []capture.Job   // every job of the trade
	outcome *capture.Event  // the current one
	newJob  bool            // the trade failed and ended again for another job, not called yet
	errors  map[string]int  // -1000 answers by request_id
	refused map[string]bool // request_ids answered -4118
	failed  []request       // the requests that failed, since the start or the last retry

	highest   sums // authorized amounts in queries and jobs
	withdrawn bool // and not retried since
	reopened  bool // released or retried, not called since

	stretch stretch
	round   round
}

// stretch has the counters that can cause a trade to be parked. They start at zero
// with the trade's first event and each time an operator sends it back to work.
type stretch struct {
	first        time.Time // of the first event since then or since the last outcome
	ids          int       // new request_ids used
	idsRefused   int       // -4118 to a request_id that was never sent before
	inconclusive tally     // answers that may count as inconclusive
	notifiedPaid time.Time // a notification that says paid, newer than the last intent
}

// round has the counts that forbid further calls, since the start of the trade or since
// it last failed or was sent back.
type round struct {
	firstCall    int   // index of its first call
	inconclusive tally // answers that must count as inconclusive
	idsRefused   int
	dead         capture.OrderState // the order state in an answer to a capture call
}

// tally is a count with the time of its first element.
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

// request is a request that failed.
type request struct {
	sum      capture.Amount
	deadline time.Time
	limited  bool // its job has a deadline
	window   bool // it failed because its time was over
}

// call is one announced capture call.
type call struct {
	event     capture.Event
	fresh     bool            // its request_id was never sent before
	answer    *capture.Answer // nil if the ledger has none
	ended     time.Time       // the latest time at which it ended
	overtaken bool            // the trade continued without its answer
	highest   sums            // authorized sums shown right before and since the call, or since a release or retry
	excused   bool            // answered while the intake was paused for a fault of ours
}

// Events checks the events of one trade, in ledger order, against rules 1 to 11 and 13,
// and returns the violations. It uses the times of the events, and p, the policy of the
// worker, whose zero fields are those of capture.DefaultPolicy. A trade without an
// outcome is not a violation.
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
		h.checkSigned("13", e)
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

// end records the answer to a capture call.
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

// job returns the job at an event: its own, or the current one.
func (h *history) job(e capture.Event) (capture.Job, bool) {
	switch {
	case e.Job != nil:
		return *e.Job, true
	case h.asked != nil:
		return *h.asked, true
	}
	return capture.Job{}, false
}

// deadlineOf returns the time from which no capture call is made for a job: that of the
// job, else the end of the gateway's window according to Order Query (rule 10). It is
// zero if neither is known.
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

// ownDeadline returns the deadline in the job, zero if it has none.
func (h *history) ownDeadline(job *capture.Job) time.Time {
	deadline := job.CaptureBefore
	if !job.AuthorizedAt.IsZero() {
		if end := job.AuthorizedAt.Add(h.p.Window); deadline.IsZero() || end.Before(deadline) {
			deadline = end
		}
	}
	return deadline
}

var uuid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// key returns the trade_id as the ledger spells it: a UUID is in lower case (rule 7).
func key(trade string) string {
	if uuid.MatchString(trade) {
		return strings.ToLower(trade)
	}
	return trade
}

// identity checks that all events belong to the trade and have unique ids (rule 7).
func (h *history) identity(e capture.Event) {
	if e.TradeID != h.trade {
		h.add("7", e, "an event of trade %q among those of %q", e.TradeID, h.trade)
	}
	if e.ID == "" || h.ids[e.ID] {
		h.add("7", e, "the id of the event is missing or used twice")
	}
	h.ids[e.ID] = true
	if e.Job == nil {
		return
	}
	if h.spelling == "" {
		h.spelling = e.Job.TradeID
	}
	switch {
	case key(e.Job.TradeID) != h.trade:
		h.add("7", e, "%s holds a job of trade %q", e.Type, e.Job.TradeID)
	case e.Type == capture.Attempted && e.Job.TradeID != h.spelling:
		h.add("7", e, "the gateway gets trade %q, the first job wrote %q", e.Job.TradeID, h.spelling)
	}
}

// afterCaptured checks that no call and no outcome follows captured (rules 8 and 11).
func (h *history) afterCaptured(e capture.Event) {
	if h.outcome == nil || h.outcome.Type != capture.Captured {
		return
	}
	switch {
	case e.Type == capture.Attempted:
		h.add("8", e, "a capture call for a trade that is captured")
	case e.Type.Outcome() || e.Type == capture.Released || e.Type == capture.Retried:
		h.add("11", e, "%s after captured: captured is never replaced", e.Type)
	}
}

// checkReopened checks that a parked trade was released, or a failed one, or a withdrawn
// one without an outcome, retried, with operator and reason (rules 8 and 13).
func (h *history) checkReopened(e capture.Event) {
	want := capture.Parked
	if e.Type == capture.Retried {
		want = capture.Failed
	}
	takenBack := e.Type == capture.Retried && h.withdrawn && h.outcome == nil
	if !takenBack && (h.outcome == nil || h.outcome.Type != want) {
		h.add("8", e, "%s, but the trade is not %s", e.Type, want)
	}
	h.checkSigned("8", e)
}

// checkDismissal checks that a dismissed trade is parked (rule 8).
func (h *history) checkDismissal(e capture.Event) {
	if h.outcome == nil || h.outcome.Type != capture.Parked {
		h.add("8", e, "dismissed, but the trade is not parked")
	}
	h.checkSigned("8", e)
}

func (h *history) checkSigned(rule string, e capture.Event) {
	if e.By == "" || e.Note == "" {
		h.add(rule, e, "%s without operator or reason", e.Type)
	}
}
