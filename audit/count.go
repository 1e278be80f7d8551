package audit

import (
	"slices"

	"github.com/capture-worker/capture-worker/capture"
)

// deadStates are the order states that end a trade without money.
var deadStates = []capture.OrderState{
	capture.OrderDeclined, capture.OrderFailed, capture.OrderExpired, capture.OrderCancelled,
}

// explainable are the refusals of a capture call that Order Query may explain (rule 5).
// -3001 is explained only by the end of the order.
var explainable = []string{
	capture.CodeFieldMissing, capture.CodeAmountExceeded, capture.CodeCurrencyMismatch,
	capture.CodeWindowExceeded, capture.CodeTradeID,
}

// listed are the codes that are documented or counted separately.
var listed = append([]string{
	"", capture.CodeSuccess, capture.CodeInternal, capture.CodeSignature, capture.CodeUser, capture.CodeRequestID,
}, explainable...)

// countAnswer counts the answer to a capture call for the limits of further calls (rules
// 4, 5 and 10).
func (h *history) countAnswer(c *call, e capture.Event) {
	id, a := c.event.RequestID, *e.Answer
	switch a.Code {
	case capture.CodeInternal:
		h.errors[id]++
	case capture.CodeRequestID:
		h.refused[id] = true
	}
	if e.Excused {
		return // not counted against the trade (rule 9)
	}
	if a.Code == capture.CodeRequestID && c.fresh {
		h.stretch.idsRefused++
		h.round.idsRefused++
	}
	if slices.Contains(deadStates, stateOf(e)) {
		h.round.dead = stateOf(e)
	}
	if a.Kind == capture.AnswerRefused && slices.Contains(explainable, a.Code) || unlisted(a) {
		h.round.inconclusive.add(e.Time)
	}
	if mayCount(a) && a.Code != capture.CodeRequestID {
		h.stretch.inconclusive.add(e.Time)
	}
}

// countQuery counts an inconclusive Order Query.
func (h *history) countQuery(e capture.Event) {
	if e.Excused {
		return
	}
	if unlisted(*e.Answer) {
		h.round.inconclusive.add(e.Time)
	}
	if mayCount(*e.Answer) && e.Answer.Code != capture.CodeTradeID {
		h.stretch.inconclusive.add(e.Time)
	}
}

// countOutcome counts the evidence of an outcome if it is the answer to the last call.
func (h *history) countOutcome(e capture.Event) {
	if c := h.last(); c != nil && e.Via == capture.ViaCapture && e.Answer != nil && e.Call == c.event.Call {
		h.end(c, e)
	}
}

// unlisted reports whether the answer has an undocumented code.
func unlisted(a capture.Answer) bool {
	return a.Kind == capture.AnswerUnknown && !slices.Contains(listed, a.Code)
}

// mayCount reports whether the worker may have counted the answer as inconclusive. It
// never counts a lost answer, -1000, an order in progress, a call that was not sent, or
// a fault of ours.
func mayCount(a capture.Answer) bool {
	switch {
	case a.Code == "" || a.Code == capture.CodeInternal || a.Code == capture.CodeSignature || a.Code == capture.CodeUser:
		return false
	case a.Order != nil && a.Order.State.Class() == capture.OrderIsMoving:
		return false
	}
	return a.Kind == capture.AnswerRefused || a.Kind == capture.AnswerUnknown
}

// enough reports whether there were enough inconclusive answers, and enough time since
// the first of them, to end the calls (rule 10).
func (h *history) enough(e capture.Event) bool {
	t := h.stretch.inconclusive
	return t.n >= h.p.MaxAnswers && !e.Time.Before(t.first.Add(h.p.AnswersFor))
}
