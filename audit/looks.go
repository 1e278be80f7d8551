package audit

import (
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// look is one Order Query that said something about the trade.
type look struct {
	asked time.Time // when it was sent
	what  string
	sum   capture.Amount // as it showed it
}

// What a look may show, as far as it matters here.
const (
	lookOpen    = "authorized"
	lookNoTrade = "no such trade"
	lookOther   = "other"
)

// look remembers what an Order Query showed. It is taken for as old as its
// question.
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

// sums are the highest sums that were seen, by currency.
type sums map[string]capture.Amount

func (s sums) raise(sum capture.Amount) {
	if seen := s[sum.Currency()]; !sum.IsZero() && (seen.IsZero() || less(seen, sum)) {
		s[sum.Currency()] = sum
	}
}

// above reports whether a higher sum than this was seen.
func (s sums) above(sum capture.Amount) bool { return less(sum, s[sum.Currency()]) }

// lowered: less is authorized than Order Query showed around a call in doubt,
// which may have captured the difference.
func (h *history) lowered() bool {
	return slices.ContainsFunc(h.calls, func(c call) bool { return c.inDoubt() && c.highest.above(h.shownSum()) })
}

// less reports whether a is below b; of two currencies neither is.
func less(a, b capture.Amount) bool {
	if a.IsZero() || b.IsZero() {
		return false
	}
	order, err := a.Cmp(b)
	return err == nil && order < 0
}

// shownSum is the authorized sum that the latest look shows, zero if it shows
// none.
func (h *history) shownSum() capture.Amount {
	run := h.run(lookOpen)
	if len(run) == 0 {
		return capture.Amount{}
	}
	return run[len(run)-1].sum
}

// checkLook: what says paid is an outcome at once, captured or parked (rule 6).
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

// run is the tail of the looks that agree on what.
func (h *history) run(what string) []look {
	i := len(h.looks)
	for i > 0 && h.looks[i-1].what == what {
		i--
	}
	return h.looks[i:]
}

// agree counts the latest looks that all show what, were asked at the given
// time or later, and keep the spacing, and reports whether they are enough.
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

// callEnded is when the last call was over, zero if there was none.
func (h *history) callEnded() time.Time {
	if c := h.last(); c != nil {
		return c.ended
	}
	return time.Time{}
}

// quiet: enough looks agree after the settle time that no earlier request is
// believed to land any more (rule 3).
func (h *history) quiet(what string) bool { return h.agree(what, h.callEnded().Add(h.p.Settle)) }

// final: the looks still agree `final` after the last call (rule 5).
func (h *history) final(what string) bool {
	run := h.run(what)
	return h.quiet(what) && !run[len(run)-1].asked.Before(h.callEnded().Add(h.p.Final))
}

// askedSince: the latest looks show what, and one of them was asked after the
// last call. It need not be the last that was written down: a worker that stood
// still writes an old look down late.
func (h *history) askedSince(what string) bool {
	return slices.ContainsFunc(h.run(what), func(l look) bool { return !l.asked.Before(h.callEnded()) })
}

// lost: the call may still take effect. A plain -1000 ended the request only if
// it asked for the whole sum that Order Query shows as authorized (rule 3).
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

// clean: the gateway said no, or never saw the call.
func (c *call) clean() bool {
	return c.answer != nil && (c.answer.Kind == capture.AnswerRefused || c.answer.Kind == capture.AnswerNotSent)
}

// inDoubt: the call may have taken effect for all that its end said, or was given
// up for lost before its answer came.
func (c *call) inDoubt() bool { return c.overtaken || !c.clean() }

// doubted: some call of the trade is in doubt.
func (h *history) doubted() bool {
	return slices.ContainsFunc(h.calls, func(c call) bool { return c.inDoubt() })
}
