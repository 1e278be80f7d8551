package audit

import (
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// look is one Order Query with a useful answer about the trade.
type look struct {
	asked time.Time // when it was sent
	what  string
	sum   capture.Amount // the authorized amount that it showed
}

// What a look may show.
const (
	lookOpen    = "authorized"
	lookNoTrade = "no such trade"
	lookOther   = "other"
)

// look records what an Order Query showed, with the time at which it was sent.
func (h *history) look(e capture.Event) {
	if e.Via != capture.ViaQuery || e.Answer == nil {
		return
	}
	if c := h.last(); c != nil && c.answer == nil && !e.Time.Before(c.ended) {
		c.overtaken = true
	}
	h.countQuery(e)
	what, told := sight(*e.Answer)
	if !told || e.Excused && what == lookNoTrade {
		return
	}
	l := look{asked: e.Time.Add(-e.Answer.Latency), what: what}
	if order := e.Answer.Order; order != nil {
		l.sum = order.Amount
		if t := capture.UnixSeconds(order.CreatedAt); !t.IsZero() {
			h.createdAt = t
		}
	}
	h.looks = append(h.looks, l)
	if what == lookOpen {
		h.highest.raise(l.sum)
		for i := range h.calls {
			h.calls[i].highest.raise(l.sum)
		}
	}
}

// sums has the highest amount seen per currency.
type sums map[string]capture.Amount

func (s sums) raise(sum capture.Amount) {
	if seen := s[sum.Currency()]; !sum.IsZero() && (seen.IsZero() || less(seen, sum)) {
		s[sum.Currency()] = sum
	}
}

// above reports whether a higher amount was seen.
func (s sums) above(sum capture.Amount) bool { return less(sum, s[sum.Currency()]) }

// lowered reports whether less is authorized than Order Query showed around a call in
// doubt, which may have captured the difference.
func (h *history) lowered() bool {
	return slices.ContainsFunc(h.calls, func(c call) bool { return c.inDoubt() && c.highest.above(h.shownSum()) })
}

// less reports whether a is below b; it is false for different currencies.
func less(a, b capture.Amount) bool {
	if a.IsZero() || b.IsZero() {
		return false
	}
	order, err := a.Cmp(b)
	return err == nil && order < 0
}

// shownSum returns the authorized amount that the latest look shows, zero if none.
func (h *history) shownSum() capture.Amount {
	run := h.run(lookOpen)
	if len(run) == 0 {
		return capture.Amount{}
	}
	return run[len(run)-1].sum
}

// checkLook checks that an answer paid leads to an outcome at once (rule 6).
func (h *history) checkLook(e capture.Event) {
	parked := h.outcome != nil && h.outcome.Type == capture.Parked
	if h.asked != nil && !parked && h.outcomeIsOpen() && stateOf(e).Class() == capture.OrderIsPaid {
		h.add("6", e, "the gateway reports paid, and no outcome says so")
	}
}

func (h *history) outcomeIsOpen() bool { return h.outcome == nil || h.outcome.Type != capture.Captured }

// stateOf is the order state that the evidence shows, "" if it shows none.
func stateOf(e capture.Event) capture.OrderState {
	if e.Answer == nil || e.Answer.Order == nil {
		return ""
	}
	return e.Answer.Order.State
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

// run returns the latest looks that all show what.
func (h *history) run(what string) []look {
	i := len(h.looks)
	for i > 0 && h.looks[i-1].what == what {
		i--
	}
	return h.looks[i:]
}

// agree reports whether enough of the latest looks show what, were sent at the given time
// or later, and keep the spacing.
func (h *history) agree(what string, from time.Time) bool {
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

// callEnded returns the end of the last call, zero if there was none.
func (h *history) callEnded() time.Time {
	if c := h.last(); c != nil {
		return c.ended
	}
	return time.Time{}
}

// quiet reports whether enough looks agree after the settle time, so that no earlier
// request is expected to take effect any more (rule 3).
func (h *history) quiet(what string) bool { return h.agree(what, h.callEnded().Add(h.p.Settle)) }

// final reports whether the looks still agree Policy.Final after the last call (rule 5).
func (h *history) final(what string) bool {
	run := h.run(what)
	return h.quiet(what) && !run[len(run)-1].asked.Before(h.callEnded().Add(h.p.Final))
}

// askedSince reports whether the latest looks show what, and one of them was sent after
// the last call. It need not be the last in the ledger: a stalled worker records an old
// look late.
func (h *history) askedSince(what string) bool {
	return slices.ContainsFunc(h.run(what), func(l look) bool { return !l.asked.Before(h.callEnded()) })
}

// lost reports whether the call may still take effect. A plain -1000 ended the request
// only if its amount is all that Order Query shows as authorized (rule 3).
func (h *history) lost(c *call) bool {
	switch {
	case c.answer == nil:
		return true
	case c.answer.Kind == capture.AnswerRefused, c.answer.Kind == capture.AnswerNotSent:
		return false
	case c.answer.Code != capture.CodeInternal || c.event.Job == nil:
		return true
	}
	return h.shownSum() != c.event.Job.Amount
}

// clean reports whether the gateway refused the call or never received it.
func (c *call) clean() bool {
	return c.answer != nil && (c.answer.Kind == capture.AnswerRefused || c.answer.Kind == capture.AnswerNotSent)
}

// inDoubt reports whether the call may have taken effect, or was treated as lost before
// its answer came.
func (c *call) inDoubt() bool { return c.overtaken || !c.clean() }

// doubted reports whether any call of the trade is in doubt.
func (h *history) doubted() bool {
	return slices.ContainsFunc(h.calls, func(c call) bool { return c.inDoubt() })
}
