package audit

import (
	"slices"

	"github.com/capture-worker/capture-worker/capture"
)

func (h *history) checkOutcome(e capture.Event) {
	h.checkCorrects(e)
	if e.Answer == nil && !h.needsNoEvidence(e) {
		h.add("1", e, "%s without evidence", e.Type)
		return
	}
	switch e.Type {
	case capture.Captured:
		h.checkCaptured(e)
	case capture.Failed:
		h.checkFailed(e)
	case capture.Parked:
		h.checkParked(e)
	}
}

// needsNoEvidence: the ledger itself says enough.
func (h *history) needsNoEvidence(e capture.Event) bool {
	switch {
	case e.Type == capture.Failed:
		return e.Reason == capture.ReasonWithdrawn && len(h.calls) == 0
	case e.Type == capture.Parked:
		return e.Reason == capture.ReasonUnresolved || e.Reason == capture.ReasonRequestIDsSpent
	}
	return false
}

// checkCorrects: an outcome over another one says so (rule 11). A second
// request that ends without money has an end of its own.
func (h *history) checkCorrects(e capture.Event) {
	if h.outcome == nil {
		if e.Corrects != "" {
			h.add("11", e, "corrects %s, but no outcome stands", e.Corrects)
		}
		return
	}
	if e.Corrects != "" {
		if e.Corrects != h.outcome.ID {
			h.add("11", e, "corrects %s, but %s stands", e.Corrects, h.outcome.ID)
		}
		return
	}
	anew := h.outcome.Type == capture.Failed && e.Type != capture.Captured && e.Job != nil && h.asksAnew(*e.Job)
	if !anew {
		h.add("11", e, "%s over %s without naming it", e.Type, h.outcome.Type)
	}
}

// checkCaptured: the gateway reports paid, for a sum that was asked (rule 6).
func (h *history) checkCaptured(e capture.Event) {
	order := e.Answer.Order
	if e.Answer.Kind != capture.AnswerDone || stateOf(e).Class() != capture.OrderIsPaid {
		h.add("6", e, "captured, but the evidence does not say paid")
		return
	}
	if e.Via == capture.ViaCapture && !h.announced(e.Call) {
		h.add("1", e, "captured by call %d, which the ledger does not announce", e.Call)
	}
	sum := e.Sum()
	if sum.IsZero() || !h.everAsked(e, sum) {
		h.add("6", e, "captured %s, which no job of the trade asks for", sum)
	}
	job, _ := h.job(e)
	shown := order.Amount == sum
	shownAuthorized := len(h.calls) > 0 && order.Amount == job.AuthorizedAmount && e.Via == capture.ViaQuery
	if !shown && !shownAuthorized {
		h.add("6", e, "captured %s, but the gateway shows %s", sum, order.Amount)
	}
}

func (h *history) announced(n int) bool {
	return slices.ContainsFunc(h.calls, func(c call) bool { return c.event.Call == n })
}

func (h *history) everAsked(e capture.Event, sum capture.Amount) bool {
	asks := func(j capture.Job) bool { return j.Amount == sum }
	job, ok := h.job(e)
	if ok && asks(job) || slices.ContainsFunc(h.ever, asks) {
		return true
	}
	// The job at hand of an outcome over a failed one may be on no event yet.
	return h.outcome != nil && h.outcome.Type == capture.Failed
}

// checkFailed: surely no money, and Order Query says why (rules 5, 9, 10, 11, 13).
func (h *history) checkFailed(e capture.Event) {
	dead := slices.Contains(deadStates, stateOf(e))
	if e.Excused && !dead {
		h.add("9", e, "failed as %s while a fault of ours was known", e.Reason)
	}
	if t := h.stretch.notifiedPaid; !t.IsZero() {
		h.add("11", e, "failed, though a notification of %s says paid", t)
	}
	switch {
	case e.Answer == nil: // withdrawn before the first call
		h.checkFailedWithdrawn(e, "")
		return
	case e.Via != capture.ViaQuery:
		h.add("5", e, "failed on the answer to a capture call, without asking Order Query")
		return
	}
	what, told := sight(*e.Answer)
	switch {
	case !told:
		h.add("5", e, "failed, but the query told nothing")
	case dead:
		if e.Reason != string(stateOf(e)) {
			h.add("5", e, "failed as %s, but the gateway reports %s", e.Reason, stateOf(e))
		}
	case what == lookOther:
		h.add("5", e, "failed, but the gateway reports %s", stateOf(e))
	default:
		h.checkFailedStill(e, what)
	}
}

// checkFailedStill: the query shows the trade as if nothing had happened, or not
// at all. That is an end only if it explains what was refused, or if the time is
// over or the job withdrawn.
func (h *history) checkFailedStill(e capture.Event, what string) {
	switch e.Reason {
	case capture.ReasonWithdrawn:
		h.checkFailedWithdrawn(e, what)
	case capture.ReasonTradeIncorrect:
		switch {
		case what != lookNoTrade || !h.agree(lookNoTrade, h.callEnded()):
			h.add("5", e, "failed as %s before %d agreeing queries say so", e.Reason, h.p.Agree)
		case h.doubted():
			h.add("5", e, "failed as %s, though a call is in doubt", e.Reason)
		}
	case capture.ReasonWindowExceeded:
		h.checkFailedWindow(e, what)
	case capture.ReasonAmountExceeded, capture.ReasonCurrencyMismatch:
		h.checkFailedExplained(e, what)
	default:
		h.add("5", e, "failed as %s, but the gateway shows %s", e.Reason, what)
	}
}

// checkFailedExplained: the query, asked after the refusal, shows a smaller sum
// or another currency than was asked.
func (h *history) checkFailedExplained(e capture.Event, what string) {
	code := capture.CodeAmountExceeded
	if e.Reason == capture.ReasonCurrencyMismatch {
		code = capture.CodeCurrencyMismatch
	}
	job, _ := h.job(e)
	asked := e.Time.Add(-e.Answer.Latency)
	said := slices.ContainsFunc(h.calls, func(c call) bool {
		return c.refusedWith(code) && !c.ended.After(asked) && c.event.Job != nil && c.event.Job.Amount == job.Amount
	})
	switch {
	case !said:
		h.add("5", e, "failed as %s, but no capture call was refused with %s before the query was asked", e.Reason, code)
	case what != lookOpen || !explains(code, e.Answer, job):
		h.add("5", e, "failed as %s, but the query does not explain %s", e.Reason, code)
	case code == capture.CodeAmountExceeded && h.doubted():
		h.add("5", e, "failed as %s, but a call in doubt may have lowered the authorized sum", e.Reason)
	}
}

func (c *call) refusedWith(code string) bool {
	return c.answer != nil && c.answer.Kind == capture.AnswerRefused && c.answer.Code == code
}

// explains reports whether what Order Query shows is the reason for a refusal
// of a sum.
func explains(code string, a *capture.Answer, job capture.Job) bool {
	if a.Order == nil || a.Order.Amount.IsZero() {
		return false
	}
	other := a.Order.Amount.Currency() != job.Amount.Currency()
	if code == capture.CodeCurrencyMismatch {
		return other
	}
	return code == capture.CodeAmountExceeded && less(a.Order.Amount, job.Amount)
}

// checkFailedWindow: the time is over, and nothing that was sent can land any
// more (rules 5 and 10).
func (h *history) checkFailedWindow(e capture.Event, what string) {
	job, _ := h.job(e)
	switch open := h.doubted() || h.unexplained(e.Answer, job); {
	case !h.timeOver(e, job):
		h.add("10", e, "failed as %s before the deadline", e.Reason)
	case !h.askedSince(what):
		h.add("10", e, "failed as %s without a query after the last call", e.Reason)
	case open && !h.final(what):
		h.add("5", e, "failed as %s, though a call is in doubt or its refusal not explained, before agreeing queries for %s after it",
			e.Reason, h.p.Final)
	}
}

// timeOver: the deadline has passed; or the gateway said so, and its window has.
func (h *history) timeOver(e capture.Event, job capture.Job) bool {
	if d := h.deadlineOf(&job); !d.IsZero() && !e.Time.Before(d) {
		return true
	}
	window := !h.createdAt.IsZero() && !e.Time.Before(h.createdAt.Add(h.p.Window))
	return window && slices.ContainsFunc(h.calls, func(c call) bool { return c.refusedWith(capture.CodeWindowExceeded) })
}

// unexplained: a capture call of this round was refused, and what the query
// shows is not why.
func (h *history) unexplained(seen *capture.Answer, job capture.Job) bool {
	return slices.ContainsFunc(h.calls[h.round.firstCall:], func(c call) bool {
		if c.answer == nil || c.answer.Kind != capture.AnswerRefused || c.excused {
			return false
		}
		switch c.answer.Code {
		case capture.CodeWindowExceeded, capture.CodeRequestID, capture.CodeSignature, capture.CodeUser:
			return false
		case capture.CodeTradeID:
			what, _ := sight(*seen)
			return what != lookNoTrade
		}
		return !explains(c.answer.Code, seen, job)
	})
}

// checkFailedWithdrawn: the job was withdrawn; and if calls were made, Order
// Query says that they took nothing (rule 13).
func (h *history) checkFailedWithdrawn(e capture.Event, what string) {
	switch {
	case !h.withdrawn:
		h.add("13", e, "failed as withdrawn, but nobody withdrew the job")
	case len(h.calls) == 0:
	case h.doubted() && !h.final(what):
		h.add("13", e, "failed as withdrawn, though a call is in doubt, before agreeing queries for %s after it", h.p.Final)
	case !h.askedSince(what):
		h.add("13", e, "failed as withdrawn without a query after the last call")
	}
}
