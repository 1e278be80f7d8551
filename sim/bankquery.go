package sim

import (
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// query plays one Order Query.
func (x *exchange) query(tradeID string, limit time.Duration) {
	no := -1
	if x.a != nil {
		no = x.a.no
		x.s.checkPace(x.a)
	}
	d := x.s.dice(onQuery, no)
	fault := x.s.meets(onQuery, d)
	there, again := d.between(saltWay, 5*time.Millisecond, 200*time.Millisecond), d.between(saltBack, 5*time.Millisecond, 200*time.Millisecond)
	x.s.note("%s order query %s %s", x.t.name, tradeID, fault)
	switch {
	case fault == QueryNotSent, x.s.bank.down() && d.chance(saltHow, .5):
		x.tell(there, limit, notSent("no connection"))
		return
	case fault == QueryLost, x.s.bank.down():
		after, answer := x.lose(d, limit)
		x.tell(after, limit, answer)
		return
	case x.s.bank.refuses():
		x.tell(there+again, limit, coded(capture.CodeSignature))
		return
	case fault == QueryError:
		x.tell(there+again, limit, coded(capture.CodeInternal))
		return
	case fault == QueryStill:
		x.still = d.between(saltLong, 5*time.Second, 4*time.Minute)
	case fault == QuerySlow:
		again = d.between(saltLong, time.Second, 25*time.Second)
	}
	x.s.after(there, func() {
		view := x.s.now
		if fault == QueryStale {
			view -= d.between(saltLong, 0, staleBy)
		}
		x.tell(again, limit-there, x.describe(tradeID, view, fault))
		if x.a != nil {
			asked := x.asked
			x.s.after(min(again, max(limit-there, 0)), func() { x.saw(asked) })
		}
	})
}

// saw remembers that a worker was told of an authorized trade.
func (x *exchange) saw(asked time.Duration) {
	if o := x.answer.Order; x.answer.Kind == capture.AnswerDone && o != nil && o.State == capture.OrderAuthorized {
		x.a.looks = append(x.a.looks, sighting{asked: asked})
	}
}

// describe is what Order Query says of a trade, as seen at a moment.
func (x *exchange) describe(tradeID string, view time.Duration, fault Fault) capture.Answer {
	if x.a == nil || !x.a.plan.Known {
		return coded(capture.CodeTradeID)
	}
	order := capture.Order{TradeID: tradeID, State: x.a.state(view), Amount: x.a.plan.Authorized}
	if len(x.a.taken) > 0 && x.a.taken[0].at <= view && !x.s.plan.Gateway.ShowAuthorized {
		order.Amount = x.a.taken[0].amount
	}
	if order.State == capture.OrderAuthorized && view >= x.a.plan.Expires && x.s.plan.Gateway.ShowExpired {
		order.State = capture.OrderExpired
	}
	if fault == QueryOddWord {
		order.State = "in_clearing"
	}
	return told(capture.AnswerDone, order)
}
