package audit

import (
	"slices"

	"github.com/capture-worker/capture-worker/capture"
)

// refusals are the reasons a capture call's refusal gives for `failed`, and
// whether it is believed without a query.
var refusals = map[string]struct {
	reason string
	final  bool
}{
	capture.CodeFieldMissing:     {capture.ReasonRequestRefused, true},
	capture.CodeAmountExceeded:   {capture.ReasonAmountExceeded, true},
	capture.CodeCurrencyMismatch: {capture.ReasonCurrencyMismatch, true},
	capture.CodeWindowExceeded:   {capture.ReasonWindowExceeded, false},
	capture.CodeTradeID:          {capture.ReasonTradeIncorrect, false},
}

// deadStates are the order states that end a trade without money.
var deadStates = []capture.OrderState{
	capture.OrderDeclined, capture.OrderFailed, capture.OrderExpired, capture.OrderCancelled,
}

// refusal reads a capture call's answer as a final no.
func refusal(a *capture.Answer) (reason string, final bool) {
	if a == nil || a.Kind != capture.AnswerRefused {
		return "", false
	}
	if a.Code == capture.CodeSuccess && a.Order != nil && slices.Contains(deadStates, a.Order.State) {
		return string(a.Order.State), true
	}
	r := refusals[a.Code]
	return r.reason, r.final
}

func (h *history) checkOutcome(e capture.Event) {
	if e.Answer == nil && e.Reason != capture.ReasonUnresolved {
		h.add("1", e, "%s without evidence", e.Type)
		return
	}
	h.checkCorrects(e)
	switch e.Type {
	case capture.Captured:
		h.checkCaptured(e)
	case capture.Failed:
		h.checkFailed(e)
	case capture.Parked:
		h.checkParked(e)
	}
}

// checkCorrects: an outcome over another one says so (rule 11). A second ask
// that ends without money has an end of its own.
func (h *history) checkCorrects(e capture.Event) {
	if h.outcome == nil {
		if e.Corrects != "" {
			h.add("11", e, "corrects %s, but no outcome stands", e.Corrects)
		}
		return
	}
	if e.Corrects != "" && e.Corrects != h.outcome.ID {
		h.add("11", e, "corrects %s, but %s stands", e.Corrects, h.outcome.ID)
	}
	if e.Corrects != "" {
		return
	}
	anew := h.outcome.Type == capture.Failed && e.Type != capture.Captured && e.Job != nil && h.asksAnew(*e.Job)
	if !anew {
		h.add("11", e, "%s over %s without naming it", e.Type, h.outcome.Type)
	}
}

// checkCaptured: the gateway says paid, for a sum that was asked (rule 6).
func (h *history) checkCaptured(e capture.Event) {
	order := e.Answer.Order
	if e.Answer.Kind != capture.AnswerDone || order == nil || order.State != capture.OrderPaid {
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
	job, _ := h.ask(e)
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
	job, ok := h.ask(e)
	if ok && asks(job) || slices.ContainsFunc(h.ever, asks) {
		return true
	}
	// The job at hand of an outcome over a failed one may be on no event yet.
	return h.outcome != nil && h.outcome.Type == capture.Failed
}

// checkFailed: surely no money (rules 5 and 10).
func (h *history) checkFailed(e capture.Event) {
	if e.Via == capture.ViaCapture {
		h.checkRefused(e)
		return
	}
	what, told := sight(*e.Answer)
	switch {
	case !told:
		h.add("5", e, "failed, but the query told nothing")
	case what == lookOther && slices.Contains(deadStates, e.Answer.Order.State):
		if e.Reason != string(e.Answer.Order.State) {
			h.add("5", e, "failed as %s, but the gateway says %s", e.Reason, e.Answer.Order.State)
		}
	case what == lookOther:
		h.add("5", e, "failed, but the gateway says %s", e.Answer.Order.State)
	default:
		h.checkFailedStill(e, what)
	}
}

// checkRefused: a refusal alone is enough only where it is final and every
// call before it came to a clear end.
func (h *history) checkRefused(e capture.Event) {
	reason, final := refusal(e.Answer)
	switch {
	case !h.announced(e.Call):
		h.add("1", e, "failed by call %d, which the ledger does not announce", e.Call)
	case reason == "" || reason != e.Reason:
		h.add("5", e, "failed as %s, but the answer (%s %s) is no such refusal", e.Reason, e.Answer.Kind, e.Answer.Code)
	case !final:
		h.add("5", e, "failed on code %s without asking Order Query", e.Answer.Code)
	case h.doubtedBefore(e.Call):
		h.add("5", e, "failed without a query, though an earlier call ended without a clear answer")
	}
}

// doubtedBefore: a call before this one may have taken effect, or this one was
// given up for lost before its answer came.
func (h *history) doubtedBefore(n int) bool {
	return slices.ContainsFunc(h.calls, func(c call) bool {
		return c.overtaken || c.event.Call != n && !c.clean()
	})
}

func (h *history) doubted() bool {
	return slices.ContainsFunc(h.calls, func(c call) bool { return c.overtaken || !c.clean() })
}

// checkFailedStill: the query shows the trade as if nothing had happened, or
// not at all. That is an end only together with a refusal or the deadline, and
// only once no call of ours can land any more.
func (h *history) checkFailedStill(e capture.Event, what string) {
	if reason := h.lastRefusal(); reason == e.Reason && reason != "" && (what == lookNoTrade || h.quiet(what)) {
		return
	}
	job, _ := h.ask(e)
	deadline := job.Deadline(capture.AuthorizationWindow)
	switch {
	case e.Reason != capture.ReasonWindowExceeded:
		h.add("5", e, "failed as %s, but no refusal says so, or it was not confirmed", e.Reason)
	case deadline.IsZero() || e.Time.Before(deadline):
		h.add("10", e, "failed as %s before the deadline", e.Reason)
	case h.doubted() && !h.quiet(what):
		h.add("5", e, "failed at the deadline, while an earlier call may still land")
	case !h.askedSince(what):
		h.add("10", e, "failed at the deadline without a query after the last call")
	}
}

func (h *history) lastRefusal() string {
	c := h.last()
	if c == nil || h.newAsk || h.outcome != nil {
		return ""
	}
	reason, _ := refusal(c.answer)
	return reason
}

// checkParked: a person is asked only where the truth cannot be had, or is not
// what was asked for (rules 4, 5, 6, 10).
func (h *history) checkParked(e capture.Event) {
	state := capture.OrderState("")
	if e.Answer != nil && e.Answer.Order != nil {
		state = e.Answer.Order.State
	}
	switch e.Reason {
	case capture.ReasonAmountMismatch:
		if job, ok := h.ask(e); state != capture.OrderPaid || ok && e.Answer.Order.Amount == job.Amount {
			h.add("6", e, "parked for its amount, but the gateway says %s, as asked", state)
		}
	case capture.ReasonRequestIDRefused:
		if h.rejected < 2 {
			h.add("4", e, "parked for its request_ids, but %d were refused", h.rejected)
		}
	case capture.ReasonTradeUnknown:
		if !h.quiet(lookNoTrade) {
			h.add("5", e, "parked as unknown before %d agreeing queries", h.p.Agree)
		}
	case capture.ReasonRefunded:
		if state != capture.OrderRefunded {
			h.add("5", e, "parked as refunded, but the gateway says %s", state)
		}
	case capture.ReasonStateUnclear:
		if state.Class() != capture.OrderIsUnclear || state == "" {
			h.add("5", e, "parked for a state that is clear: %s", state)
		}
	case capture.ReasonUnresolved:
		h.checkUnresolved(e)
	default:
		h.add("5", e, "parked for no known reason: %q", e.Reason)
	}
}

// checkUnresolved: a deadline decides when to give up, not a count of retries
// (rule 10).
func (h *history) checkUnresolved(e capture.Event) {
	from := h.first
	if job, ok := h.ask(e); ok && job.Deadline(capture.AuthorizationWindow).After(from) {
		from = job.Deadline(capture.AuthorizationWindow)
	}
	if e.Time.Before(from.Add(h.p.GiveUpAfter)) {
		h.add("10", e, "given up at %s, before %s", e.Time, from.Add(h.p.GiveUpAfter))
	}
}
