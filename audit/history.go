package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// history is what a reader remembers while walking the events of one trade.
type history struct {
	trade string
	p     capture.Policy
	found []Violation

	seen  int             // events read
	ids   map[string]bool // their ids
	first time.Time       // of the stretch: since the start, a release or an outcome

	calls    []call
	looks    []look          // Order Queries since the last call's end, release or outcome
	asked    *capture.Job    // what the trade is about
	ever     []capture.Job   // every ask
	outcome  *capture.Event  // the one that stands
	released bool            // since the last call
	newAsk   bool            // the trade failed and ended again for another job, not called yet
	errors   map[string]int  // -1000 answers by request_id
	refused  map[string]bool // request_ids answered -4118
	rejected int             // -4118 answers since the start or the last release
}

// call is one announced capture call.
type call struct {
	event     capture.Event
	answer    *capture.Answer // nil: none in the ledger
	ended     time.Time       // when it was over at the latest
	overtaken bool            // the trade went on without its answer
}

// look is one Order Query that told something.
type look struct {
	asked time.Time // when it was sent
	what  string
}

// What a look may show, as far as it matters here.
const (
	lookOpen    = "authorized"
	lookNoTrade = "no such trade"
	lookOther   = "other"
)

// Events checks the events of one trade, in ledger order, against the rules
// that can be read off them: 1 to 8, 10 and 11. Times are those of the events;
// p is the policy the worker ran with. A trade that is still under way breaks
// no rule by that.
func Events(trade string, events []capture.Event, p capture.Policy) []Violation {
	h := &history{
		trade: trade, p: p.OrDefault(), ids: map[string]bool{},
		errors: map[string]int{}, refused: map[string]bool{},
	}
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
	if h.first.IsZero() {
		h.first = e.Time
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
	case capture.Released:
		h.checkRelease(e)
		h.outcome, h.looks, h.released, h.rejected, h.first = nil, nil, true, 0, e.Time
	case capture.Dismissed:
		h.checkDismissal(e)
	case capture.Captured, capture.Failed, capture.Parked:
		h.look(e)
		h.checkOutcome(e)
		h.settled(e)
	}
	h.seen++
}

// identity: one trade, one sequence of events (rule 7).
func (h *history) identity(e capture.Event) {
	if e.TradeID != h.trade {
		h.add("7", e, "an event of trade %q among those of %q", e.TradeID, h.trade)
	}
	if e.ID == "" || h.ids[e.ID] {
		h.add("7", e, "the id of the event is missing or used twice")
	}
	h.ids[e.ID] = true
}

// afterCaptured: captured stands (rules 8 and 11).
func (h *history) afterCaptured(e capture.Event) {
	if h.outcome == nil || h.outcome.Type != capture.Captured {
		return
	}
	switch {
	case e.Type == capture.Attempted:
		h.add("8", e, "a capture call for a trade that is captured")
	case e.Type.Outcome() || e.Type == capture.Released:
		h.add("11", e, "%s after captured: captured is never taken back", e.Type)
	}
}

func (h *history) attempted(e capture.Event) {
	if c := h.last(); c != nil && c.answer == nil {
		c.overtaken = true
	}
	if e.Job != nil {
		h.asked = e.Job
		h.ever = append(h.ever, *e.Job)
	}
	h.calls = append(h.calls, call{event: e, ended: e.LeaseUntil})
	h.outcome, h.looks, h.released, h.newAsk = nil, nil, false, false
}

func (h *history) answered(e capture.Event) {
	c := h.last()
	if c == nil || e.Answer == nil || e.Call != c.event.Call {
		return
	}
	c.answer, c.ended = e.Answer, e.Time
	h.looks = nil
	switch e.Answer.Code {
	case capture.CodeInternal:
		h.errors[c.event.RequestID]++
	case capture.CodeRequestID:
		h.refused[c.event.RequestID] = true
		h.rejected++
	}
}

// look remembers what an Order Query showed. It is taken for as old as its
// question.
func (h *history) look(e capture.Event) {
	if e.Via != capture.ViaQuery || e.Answer == nil {
		return
	}
	if c := h.last(); c != nil && c.answer == nil && !e.Time.Before(c.ended) {
		c.overtaken = true
	}
	what, told := sight(*e.Answer)
	if told {
		h.looks = append(h.looks, look{asked: e.Time.Add(-e.Answer.Latency), what: what})
	}
}

func sight(a capture.Answer) (what string, told bool) {
	switch {
	case a.Kind == capture.AnswerRefused && a.Code == capture.CodeTradeID:
		return lookNoTrade, true
	case a.Kind != capture.AnswerDone || a.Order == nil:
		return "", false
	case a.Order.State == capture.OrderAuthorized:
		return lookOpen, true
	}
	return lookOther, true
}

func (h *history) settled(e capture.Event) {
	if c := h.last(); c != nil {
		switch {
		case e.Via == capture.ViaCapture && e.Call == c.event.Call && e.Answer != nil:
			c.answer, c.ended = e.Answer, e.Time
		case c.answer == nil:
			c.overtaken = true
		}
	}
	if e.Job != nil {
		h.asked = e.Job
		h.ever = append(h.ever, *e.Job)
		h.newAsk = len(h.calls) > 0
	}
	h.outcome, h.looks, h.first = &e, nil, time.Time{}
}

func (h *history) last() *call {
	if len(h.calls) == 0 {
		return nil
	}
	return &h.calls[len(h.calls)-1]
}

// ask is the job the trade is about at this event: the intent's, or what the
// event itself brings for another ask.
func (h *history) ask(e capture.Event) (capture.Job, bool) {
	switch {
	case e.Job != nil:
		return *e.Job, true
	case h.asked != nil:
		return *h.asked, true
	}
	return capture.Job{}, false
}

// lost: the call ended without an answer that ends it.
func (c *call) lost() bool {
	switch {
	case c.answer == nil:
		return true
	case c.answer.Kind == capture.AnswerRefused, c.answer.Kind == capture.AnswerNotSent:
		return false
	}
	return c.answer.Code != capture.CodeInternal
}

// clean: the gateway said no, or never saw the call.
func (c *call) clean() bool {
	return c.answer != nil && (c.answer.Kind == capture.AnswerRefused || c.answer.Kind == capture.AnswerNotSent)
}

// quiet counts the latest looks that all show what, were asked after the
// settle time, and keep the spacing (rule 3).
func (h *history) quiet(what string) bool {
	from := time.Time{}
	if c := h.last(); c != nil {
		from = c.ended.Add(h.p.Settle)
	}
	counted := 0
	for _, l := range h.run(what) {
		if l.asked.Before(from) {
			continue
		}
		counted++
		from = l.asked.Add(h.p.Spacing)
	}
	return counted >= h.p.Agree
}

// run is the tail of the looks that agree on what.
func (h *history) run(what string) []look {
	i := len(h.looks)
	for i > 0 && h.looks[i-1].what == what {
		i--
	}
	return h.looks[i:]
}

// askedSince: the latest looks show what, and one of them was asked after the
// last call. It need not be the last that was written down: a worker that stood
// still writes an old look down late.
func (h *history) askedSince(what string) bool {
	c := h.last()
	return slices.ContainsFunc(h.run(what), func(l look) bool { return c == nil || !l.asked.Before(c.ended) })
}
