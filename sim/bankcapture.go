package sim

import (
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

// capture simulates one capture call.
func (x *exchange) capture(r gateway.CaptureRequest, limit time.Duration) {
	d := x.s.dice(onCapture, x.a.no)
	fault := x.s.meets(onCapture, d)
	if fault == CaptureHeldBack {
		hold := d.between(saltLong, time.Minute, 4*time.Minute)
		x.s.note("%s is held back for %s before the first byte", x.t.name, hold)
		x.s.after(hold, func() { x.send(r, NoFault, d, limit) })
		return
	}
	x.send(r, fault, d, limit)
}

func (x *exchange) send(r gateway.CaptureRequest, fault Fault, d dice, limit time.Duration) {
	if x.t.dead {
		return // the worker died before the first byte
	}
	x.s.checkCalling(x, r)
	x.s.note("%s capture call %s %s %s", x.t.name, r.RequestID, r.Amount, fault)
	there, again := d.between(saltWay, 5*time.Millisecond, 200*time.Millisecond), d.between(saltBack, 5*time.Millisecond, 200*time.Millisecond)
	if fault == CaptureNotSent || x.s.bank.down() && d.chance(saltHow, .5) {
		x.tell(there, limit, notSent("no connection"))
		return
	}
	c := &call{id: r.RequestID, amount: r.Amount, sent: x.s.now, live: true, ended: x.s.now + limit}
	x.a.calls = append(x.a.calls, c)
	x.s.rumour(x.a)
	if x.s.bank.down() {
		c.live = false
		after, answer := x.lose(d, limit)
		x.end(c, after, limit, answer)
	} else if code := x.turnedAway(c, d); code != "" {
		c.live, c.failed = false, code == capture.CodeInternal
		x.end(c, there+again, limit, coded(code))
	} else {
		x.arrive(c, fault, d, there, again, limit)
	}
}

// turnedAway returns the code with which the gateway refuses every capture call, ""
// if it processes the call.
func (x *exchange) turnedAway(c *call, d dice) string {
	b, never := x.s.bank, x.a.plan.Stubborn
	switch {
	case b.refuses():
		return []string{capture.CodeSignature, capture.CodeUser}[d.pick(saltHow, 2)]
	case b.foreign():
		return capture.CodeTradeID
	case len(never) > 0:
		code := never[(len(x.a.calls)-1)%len(never)]
		x.a.remember(c.id, stored{code: code})
		return code
	case b.coding():
		return b.code
	}
	return ""
}

// end delivers the answer of a call, after which its worker ignores the call.
func (x *exchange) end(c *call, after, limit time.Duration, answer capture.Answer) {
	c.ended = x.s.now + min(after, limit)
	x.tell(after, limit, answer)
}

// arrive applies the fault of a call at its arrival.
func (x *exchange) arrive(c *call, fault Fault, d dice, there, again, limit time.Duration) {
	after, vague := x.lose(d, limit)
	switch fault {
	case CaptureErrorBefore, CaptureRefused, CaptureOddCode:
		x.end(c, there+again, limit, coded(x.refuse(c, fault, d)))
	case CaptureErrorAfter:
		c.failed = true
		x.s.after(there, func() { x.run(c, false) })
		x.end(c, there+again, limit, coded(capture.CodeInternal))
	case CaptureErrorLate:
		c.failed = true
		x.end(c, there+again, limit, coded(capture.CodeInternal))
		x.s.after(min(there+again, limit)+d.between(saltLong, 0, errorBy), func() { x.run(c, false) })
	case CaptureDeclinedFalsely:
		c.live = false
		x.end(c, there+again, limit, told(capture.AnswerRefused, capture.Order{TradeID: x.a.plan.ID, State: capture.OrderDeclined, Amount: c.amount}))
	case CaptureLostBefore:
		c.live = false
		x.end(c, after, limit, vague)
	case CaptureLostAfter:
		x.s.after(min(there, after), func() { x.run(c, false) })
		x.end(c, after, limit, vague)
	case CaptureLate, CaptureTooLate:
		x.end(c, after, limit, vague)
		lands := min(after, limit) + d.between(saltLong, 0, lateBy)
		if fault == CaptureTooLate {
			lands = min(after, limit) + d.between(saltLong, time.Minute, 5*time.Minute)
		}
		x.s.after(lands, func() { x.run(c, false) })
	case CapturePending:
		x.answerLater(c, there, again, limit, func() capture.Answer { return x.pend(c, d) })
	case CaptureDeclined:
		x.answerLater(c, there, again, limit, func() capture.Answer { return x.decline(c) })
	default:
		if fault == CaptureSlow {
			again = d.between(saltLong, time.Second, 40*time.Second)
		}
		x.answerLater(c, there, again, limit, func() capture.Answer { return x.run(c, true) })
	}
}

// refuse ends a call without effect and returns its code.
func (x *exchange) refuse(c *call, fault Fault, d dice) string {
	c.live = false
	code := capture.CodeInternal
	switch {
	case fault == CaptureOddCode:
		return oddCode(d)
	case fault == CaptureErrorBefore:
		c.failed = true
	case x.a.plan.Taken.IsZero():
		code = refusedWith[d.pick(saltHow, len(refusedWith))]
	default:
		code = capture.CodeTradeID // the code that may also mean "captured"
	}
	x.a.remember(c.id, stored{code: code})
	return code
}

// oddCode returns one of two undocumented codes.
func oddCode(d dice) string { return []string{"-7777", "-8888"}[d.pick(saltHow, 2)] }

func dead(state capture.OrderState) bool { return state.Class() == capture.OrderIsDead }

var refusedWith = []string{
	capture.CodeRequestID, capture.CodeRequestID, capture.CodeRequestID, capture.CodeRequestID, capture.CodeRequestID,
	capture.CodeFieldMissing, capture.CodeAmountExceeded,
	capture.CodeCurrencyMismatch, capture.CodeWindowExceeded, capture.CodeTradeID,
}

// answerLater runs the call when it arrives and delivers the result.
func (x *exchange) answerLater(c *call, there, again, limit time.Duration, run func() capture.Answer) {
	c.ended = x.s.now + min(there+again, limit)
	// The answer is known only after the call has run, but the time limit is known
	// before.
	if there >= limit {
		x.s.after(there, func() { run() })
		x.tell(limit+1, limit, capture.Answer{})
		return
	}
	x.s.after(there, func() { x.tell(again, limit-there, run()) })
}

// run makes the requested capture if it is permitted, and returns the answer.
func (x *exchange) run(c *call, tellIt bool) capture.Answer {
	c.live = false
	code := x.permit(c)
	if !tellIt {
		return capture.Answer{}
	}
	if code != capture.CodeSuccess {
		return coded(code)
	}
	return told(capture.AnswerDone, capture.Order{TradeID: x.a.plan.ID, State: capture.OrderPaid, Amount: c.amount})
}

// permit runs the call's request and returns the code for it.
func (x *exchange) permit(c *call) string {
	g := x.s.plan.Gateway
	if end, seen := x.a.ends[c.id]; seen && g.Repeated != rerun {
		switch {
		case g.Repeated == refuse:
			return capture.CodeRequestID
		case g.Repeated == replayError:
			return end.code
		case end.captured:
			return capture.CodeSuccess
		}
	}
	code := x.allowed(c)
	if code == capture.CodeSuccess {
		x.take(c, x.s.now)
	}
	x.a.remember(c.id, stored{code: code, captured: code == capture.CodeSuccess})
	return code
}

// allowed reports whether a capture may take effect now.
func (x *exchange) allowed(c *call) string {
	a, g := x.a, x.s.plan.Gateway
	above, err := c.amount.Cmp(a.plan.Authorized)
	state := a.state(x.s.now)
	switch {
	case !a.plan.Known:
		return capture.CodeTradeID
	case len(a.taken) > 0 && a.taken[0].call == nil:
		return capture.CodeTradeID
	case len(a.taken) > 0 && (g.OneCapture || err == nil && minor(c.amount) > a.left()):
		return g.SecondCode
	case x.s.now >= a.plan.Expires:
		return capture.CodeWindowExceeded
	case len(a.taken) == 0 && state != capture.OrderAuthorized, len(a.taken) > 0 && dead(state):
		return capture.CodeTradeID
	case err != nil:
		return capture.CodeCurrencyMismatch
	case above > 0:
		return capture.CodeAmountExceeded
	}
	return capture.CodeSuccess
}

func (a *account) remember(id string, end stored) {
	if _, seen := a.ends[id]; !seen || end.captured {
		a.ends[id] = end
	}
}

// take makes a capture take effect.
func (x *exchange) take(c *call, paid time.Duration) {
	x.a.taken = append(x.a.taken, effect{at: x.s.now, amount: c.amount, id: c.id, call: c})
	if paid > x.s.now {
		x.a.changes = append(x.a.changes, change{x.s.now, capture.OrderPending})
	}
	x.a.changes = append(x.a.changes, change{paid, capture.OrderPaid})
	x.s.note("gateway takes %s for %s by %s", c.amount, x.a.plan.ID, c.id)
	x.s.checkTaken(x.a)
	x.s.announce(x.a.no, paid)
}

// pend accepts the capture as pending; it is paid later.
func (x *exchange) pend(c *call, d dice) capture.Answer {
	c.live = false
	if code := x.allowed(c); code != capture.CodeSuccess || slices.ContainsFunc(x.a.taken, func(e effect) bool { return e.id == c.id }) {
		return x.run(c, true)
	}
	x.a.remember(c.id, stored{code: capture.CodeSuccess, captured: true})
	x.take(c, x.s.now+d.between(saltLong, time.Second, 10*time.Minute))
	return told(capture.AnswerUnknown, capture.Order{TradeID: x.a.plan.ID, State: capture.OrderPending, Amount: c.amount})
}

// decline ends the trade without money.
func (x *exchange) decline(c *call) capture.Answer {
	if x.allowed(c) != capture.CodeSuccess || len(x.a.taken) > 0 {
		return x.run(c, true)
	}
	c.live = false
	x.a.changes = append(x.a.changes, change{x.s.now, capture.OrderDeclined})
	x.a.remember(c.id, stored{code: capture.CodeTradeID})
	return told(capture.AnswerRefused, capture.Order{TradeID: x.a.plan.ID, State: capture.OrderDeclined, Amount: c.amount})
}
