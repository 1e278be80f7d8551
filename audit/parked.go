package audit

import (
	"slices"

	"github.com/capture-worker/capture-worker/capture"
)

// checkParked: an operator is asked only if the truth cannot be had, or is not
// what was asked for.
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

// checkParkedPaid: paid with another sum, or with one that cannot be read, and
// then the ledger holds what was sent (rule 6).
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

// checkParkedLowered: a call in doubt may have captured what is missing from the
// authorized sum (rules 3 and 5).
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

// checkParkedIDs: the request_ids ran out (rule 4).
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

// checkParkedCount: answers that settle nothing, enough of them and for long
// enough (rules 5, 9 and 10).
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

// checkNotExcused: what came while a fault of ours was known parks no trade.
func (h *history) checkNotExcused(e capture.Event) {
	if e.Excused {
		h.add("9", e, "parked as %s while a fault of ours was known", e.Reason)
	}
}

// checkUnresolved: a deadline decides when to give up, not a count of retries
// (rule 10).
func (h *history) checkUnresolved(e capture.Event) {
	from := h.stretch.first
	if job, ok := h.job(e); ok {
		// What Order Query shows of the window may have come with an outcome only,
		// and then need not be known.
		if d := h.ownDeadline(&job); d.After(from) {
			from = d
		}
	}
	if e.Time.Before(from.Add(h.p.GiveUpAfter)) {
		h.add("10", e, "given up at %s, before %s", e.Time, from.Add(h.p.GiveUpAfter))
	}
}
