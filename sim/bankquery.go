package sim

import (
	"fmt"
	"strconv"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// query simulates one Order Query.
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
	code := x.turnedDown(fault, d)
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
	case code != "":
		x.tell(there+again, limit, coded(code))
		return
	case fault == QueryStill:
		x.still = d.between(saltLong, 5*time.Second, 4*time.Minute)
	case fault == QuerySlow:
		again = d.between(saltLong, time.Second, 25*time.Second)
	}
	x.look(tradeID, fault, d, there, again, limit)
}

// look delivers the order as Order Query shows it when the query arrives.
func (x *exchange) look(tradeID string, fault Fault, d dice, there, again, limit time.Duration) {
	x.s.after(there, func() {
		view := x.s.now - x.s.plan.Gateway.Lag
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

// turnedDown returns the code with which the gateway refuses every query, "" if it
// processes the query.
func (x *exchange) turnedDown(fault Fault, d dice) string {
	switch {
	case x.s.bank.foreign(), fault == QueryNoTrade:
		return capture.CodeTradeID
	case x.a != nil && len(x.a.plan.StubbornQuery) > 0:
		never := x.a.plan.StubbornQuery
		return never[x.s.book.counts[tally{onQuery, x.a.no}]%len(never)]
	case fault == QueryError:
		return capture.CodeInternal
	case fault == QueryOddCode:
		return oddCode(d)
	}
	return ""
}

// saw records that a query showed a worker an authorized trade.
func (x *exchange) saw(asked time.Duration) {
	if o := x.answer.Order; x.answer.Kind == capture.AnswerDone && o != nil && o.State == capture.OrderAuthorized {
		x.a.looks = append(x.a.looks, sighting{asked: asked})
	}
}

// describe returns the order of a trade as Order Query shows it at a time.
func (x *exchange) describe(tradeID string, view time.Duration, fault Fault) capture.Answer {
	if x.a == nil || !x.a.plan.Known {
		return coded(capture.CodeTradeID)
	}
	g := x.s.plan.Gateway
	order := capture.Order{
		TradeID: tradeID, State: x.a.state(view), Amount: x.a.plan.Authorized,
		CreatedAt: strconv.FormatInt(x.a.created(g).Unix(), 10),
	}
	switch {
	case len(x.a.taken) > 0 && x.a.taken[0].at <= view:
		x.a.showTaken(&order, view, g)
	case order.State == capture.OrderAuthorized && view >= x.a.plan.Expires && g.ShowExpired:
		order.State = capture.OrderExpired
	}
	if fault == QueryOddWord {
		order.State = "in_clearing"
	}
	if fault == QueryUnreadable && order.State == capture.OrderPaid {
		order.Amount, order.AmountText = capture.Amount{}, "3e1.x EUR"
	}
	return told(capture.AnswerDone, order)
}

// created returns the time of the authorization, by the gateway's clock.
func (a *account) created(g GatewayPlan) time.Time {
	if a.plan.Short {
		return epoch.Add(-time.Hour)
	}
	return epoch.Add(a.plan.Expires - g.Window)
}

// remainsFor is how long a gateway with ShowRemaining shows a captured trade as
// authorized.
const remainsFor = 10 * time.Minute

// showTaken returns the order that Order Query shows after a capture.
func (a *account) showTaken(order *capture.Order, view time.Duration, g GatewayPlan) {
	took := a.taken[0]
	if paid := order.State == capture.OrderPaid; paid {
		order.PaidTime = strconv.FormatInt(epoch.Add(took.at).Unix(), 10)
	}
	switch {
	case g.ShowRemaining && a.left() > 0 && took.call != nil && view < took.at+remainsFor:
		order.State, order.Amount, order.PaidTime = capture.OrderAuthorized, amountOf(a.left(), a.plan.Authorized.Currency()), ""
	case !g.ShowAuthorized:
		order.Amount = took.amount
	}
}

// amountOf is the inverse of minor.
func amountOf(n int, currency string) capture.Amount {
	text := fmt.Sprintf("%d %s", n, currency)
	if currency != "JPY" {
		text = fmt.Sprintf("%d.%02d %s", n/100, n%100, currency)
	}
	return sum(text)
}
