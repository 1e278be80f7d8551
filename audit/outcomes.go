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

// needsNoEvidence reports whether the ledger itself is sufficient evidence.
func (h *history) needsNoEvidence(e capture.Event) bool {
	switch {
	case e.Type == capture.Failed:
		return e.Reason == capture.ReasonWithdrawn && len(h.calls) == 0
	case e.Type == capture.Parked:
		return e.Reason == capture.ReasonUnresolved || e.Reason == capture.ReasonRequestIDsSpent
	}
	return false
}

// checkCorrects checks that an outcome that replaces another one names it (rule 11). The
// outcome of another request without a capture replaces none.
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
	another := h.outcome.Type == capture.Failed && e.Type != capture.Captured && e.Job != nil && h.isNewRequest(*e.Job)
	if !another {
		h.add("11", e, "%s over %s without naming it", e.Type, h.outcome.Type)
	}
}

// checkCaptured checks that the gateway reports paid, with a requested amount (rule 6).
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
		h.add("6", e, "captured %s (capture_id %q), which no job of the trade asks for", sum, e.CaptureID)
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
	asks := func(j capture.Job) bool { return j.Amount == sum && j.CaptureID == e.CaptureID }
	job, ok := h.job(e)
	if ok && asks(job) || slices.ContainsFunc(h.ever, asks) {
		return true
	}
	// The job of an outcome that replaces a failed one may not be in an event yet.
	return h.outcome != nil && h.outcome.Type == capture.Failed
}

// checkFailed checks that Order Query explains a failed outcome (rules 5, 9, 10, 11, 13).
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
		h.add("5", e, "failed, but the query has no useful answer")
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

// checkFailedStill checks a failed outcome whose query shows the trade as authorized or
// unknown. It must explain the refusal, or the time must be over or the job withdrawn.
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

// checkFailedExplained checks that the query, asked after the refusal, shows a smaller
// amount or another currency than requested.
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

// explains reports whether the amount that Order Query shows explains a refusal.
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

// checkFailedWindow checks that the time is over and no call can still take effect
// (rules 5 and 10).
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

// timeOver reports whether the deadline has passed, or the gateway refused a call for it
// and its window has passed.
func (h *history) timeOver(e capture.Event, job capture.Job) bool {
	if d := h.deadlineOf(&job); !d.IsZero() && !e.Time.Before(d) {
		return true
	}
	window := !h.createdAt.IsZero() && !e.Time.Before(h.createdAt.Add(h.p.Window))
	return window && slices.ContainsFunc(h.calls, func(c call) bool { return c.refusedWith(capture.CodeWindowExceeded) })
}

// unexplained reports whether a capture call of this round was refused for a reason that
// the query does not show.
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

// checkFailedWithdrawn checks that the job was withdrawn and, if calls were made, that
// Order Query shows no capture (rule 13).
func (h *history) checkFailedWithdrawn(e capture.Event, what string) {
	switch {
	case !h.withdrawn:
		h.add("13", e, "failed as withdrawn, but the job was not withdrawn")
	case len(h.calls) == 0:
	case h.doubted() && !h.final(what):
		h.add("13", e, "failed as withdrawn, though a call is in doubt, before agreeing queries for %s after it", h.p.Final)
	case !h.askedSince(what):
		h.add("13", e, "failed as withdrawn without a query after the last call")
	}
}

// checkParked checks that a trade was parked for a reason that the events show.
func (h *history) checkParked(e capture.Event) {
	switch e.Reason {
	case capture.ReasonAmountMismatch, capture.ReasonAmountUnreadable:
		h.checkParkedPaid(e)
	case capture.ReasonRequestIDRefused, capture.ReasonRequestIDsSpent:
		h.checkParkedIDs(e)
	case capture.ReasonRequestRefused, capture.ReasonRefusalContradicted, capture.ReasonUnknownCode:
		h.checkParkedCount(e)
	case capture.ReasonSumLowered:
		h.checkParkedLowered(e)
	case capture.ReasonNotifiedPaid:
		if t := h.stretch.notifiedPaid; t.IsZero() || e.Time.Before(t.Add(h.p.AnswersFor)) {
			h.add("11", e, "parked for a notification that says paid, of which there is none that is %s old", h.p.AnswersFor)
		}
	case capture.ReasonTradeUnknown:
		if !h.quiet(lookNoTrade) || !h.doubted() {
			h.add("5", e, "parked as unknown without %d agreeing queries, or without a call in doubt", h.p.Agree)
		}
	case capture.ReasonRefunded:
		if stateOf(e) != capture.OrderRefunded {
			h.add("5", e, "parked as refunded, but the gateway reports %s", stateOf(e))
		}
	case capture.ReasonStateUnclear:
		if s := stateOf(e); s == "" || s.Class() != capture.OrderIsUnclear {
			h.add("5", e, "parked for a state that is clear: %q", s)
		}
	case capture.ReasonUnresolved:
		h.checkUnresolved(e)
	default:
		h.add("5", e, "parked for no known reason: %q", e.Reason)
	}
}

// checkParkedPaid checks a trade parked as paid with another amount, or with one that
// cannot be read and whose text is in the ledger (rule 6).
func (h *history) checkParkedPaid(e capture.Event) {
	if stateOf(e).Class() != capture.OrderIsPaid {
		h.add("6", e, "parked for its amount, but the gateway reports %q", stateOf(e))
		return
	}
	order := e.Answer.Order
	job, known := h.job(e)
	switch unread := order.Amount.IsZero() || order.AmountText != ""; {
	case unread != (e.Reason == capture.ReasonAmountUnreadable):
		h.add("6", e, "parked as %s, but the gateway shows %s %q", e.Reason, order.Amount, order.AmountText)
	case !unread && known && order.Amount == job.Amount:
		h.add("6", e, "parked for its amount, but the gateway reports %s, as asked", order.Amount)
	}
}

// checkParkedLowered checks that the authorized amount was lowered and a call in doubt
// may have captured the difference (rules 3 and 5).
func (h *history) checkParkedLowered(e capture.Event) {
	h.checkNotExcused(e)
	shown := h.shownSum()
	switch {
	case !h.doubted():
		h.add("5", e, "parked for a lowered sum, though no call is in doubt")
	case !h.quiet(lookOpen):
		h.add("3", e, "parked for a lowered sum before %d agreeing queries after the settle time", h.p.Agree)
	case !h.highest.above(shown):
		h.add("5", e, "parked for a lowered sum, but %s is the highest that was seen", shown)
	}
}

// checkParkedIDs checks that the trade used or lost its request_ids (rule 4).
func (h *history) checkParkedIDs(e capture.Event) {
	if e.Reason == capture.ReasonRequestIDsSpent {
		if n := h.stretch.ids; n < h.p.MaxIDs {
			h.add("4", e, "parked for its request_ids, but %d were used", n)
		}
		return
	}
	h.checkNotExcused(e)
	if h.stretch.idsRefused < maxIDsRefused {
		h.add("4", e, "parked for its request_ids, but %d new ones were refused", h.stretch.idsRefused)
	}
}

// checkParkedCount checks that there were enough inconclusive answers, for long enough
// (rules 5, 9 and 10).
func (h *history) checkParkedCount(e capture.Event) {
	h.checkNotExcused(e)
	this := h.calls[min(h.round.firstCall, len(h.calls)):]
	refused := func(code string) bool {
		return slices.ContainsFunc(this, func(c call) bool { return c.refusedWith(code) && !c.excused })
	}
	n := h.stretch.inconclusive.n
	switch e.Reason {
	case capture.ReasonRequestRefused:
		if n < h.p.MaxAnswers || !refused(capture.CodeFieldMissing) {
			h.add("9", e, "parked as refused after %d answers of %d", n, h.p.MaxAnswers)
		}
		return
	case capture.ReasonRefusalContradicted:
		if h.round.dead != "" && h.agree(lookOpen, h.callEnded()) {
			return // declined, and Order Query agrees on authorized
		}
	}
	if !h.enough(e) {
		h.add("10", e, "parked as %s after %d answers that settled nothing since %s", e.Reason, n, h.stretch.inconclusive.first)
	}
}

// checkNotExcused checks that the outcome did not follow from an excused answer.
func (h *history) checkNotExcused(e capture.Event) {
	if e.Excused {
		h.add("9", e, "parked as %s while a fault of ours was known", e.Reason)
	}
}

// checkUnresolved checks that the trade was given up after its deadline (rule 10).
func (h *history) checkUnresolved(e capture.Event) {
	from := h.stretch.first
	if job, ok := h.job(e); ok {
		// The window that Order Query shows may be in an outcome only, which the worker
		// need not have read.
		if d := h.ownDeadline(&job); d.After(from) {
			from = d
		}
	}
	if e.Time.Before(from.Add(h.p.GiveUpAfter)) {
		h.add("10", e, "given up at %s, before %s", e.Time, from.Add(h.p.GiveUpAfter))
	}
}
