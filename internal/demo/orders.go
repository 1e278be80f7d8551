package demo

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

// order is a shop's order: what was authorized at the gateway, and the
// jobs that are published for it.
type order struct {
	trade gatewaytest.Trade
	known bool // the gateway has the trade
	jobs  []capture.Job
}

// kinds lists the kinds of orders of a shop's normal week, with their weights.
var kinds = []struct {
	weight int
	make   func(order) order
}{
	{82, func(o order) order { return o }},
	{4, partial}, {3, publishedTwice}, {2, contradicted}, {2, corrected},
	{2, tooMuch}, {2, tooLate}, {1, otherCurrency}, {1, declined}, {1, unknownTrade},
}

// drawOrders draws n orders; the same seed gives the same ones.
func drawOrders(n int, seed uint64, now time.Time) []order {
	r := rand.New(rand.NewPCG(seed, seed))
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	orders := make([]order, n)
	for i := range orders {
		orders[i] = ordinary(r, seed, i, now)
		at := r.IntN(total)
		for _, k := range kinds {
			if at -= k.weight; at < 0 {
				orders[i] = k.make(orders[i])
				break
			}
		}
	}
	return orders
}

func ordinary(r *rand.Rand, seed uint64, i int, now time.Time) order {
	code := []string{"EUR", "EUR", "EUR", "CHF"}[r.IntN(4)]
	amount := mustAmount(fmt.Sprintf("%d.%02d", 5+r.IntN(195), r.IntN(100)), code)
	trade := fmt.Sprintf("demo-%d-%06d", seed, i)
	authorized := now.Add(-time.Duration(r.IntN(20*24)) * time.Hour).UTC().Truncate(time.Second)
	job := capture.Job{TradeID: trade, Amount: amount, OrderID: fmt.Sprintf("A-%d", 1001+i), AuthorizedAt: authorized}
	return order{
		trade: gatewaytest.Trade{TradeID: trade, Amount: amount, AuthorizedAt: authorized},
		known: true, jobs: []capture.Job{job},
	}
}

// partial is an order of which only a part ships.
func partial(o order) order {
	o.jobs[0].AuthorizedAmount = o.trade.Amount
	o.jobs[0].Amount = mustAmount("3.50", o.trade.Amount.Currency())
	return o
}

// publishedTwice is an order whose job is published twice.
func publishedTwice(o order) order {
	o.jobs = append(o.jobs, o.jobs[0])
	return o
}

// contradicted is an order with a second event for another amount.
func contradicted(o order) order {
	second := o.jobs[0]
	second.Amount = mustAmount("1.00", second.Amount.Currency())
	o.jobs = append(o.jobs, second)
	return o
}

// corrected is an order whose first event requests more than was authorized, and
// whose second is correct.
func corrected(o order) order {
	right := o.jobs[0]
	o = tooMuch(o)
	o.jobs = append(o.jobs, right)
	return o
}

// tooMuch is an order with an amount above the authorized one.
func tooMuch(o order) order {
	o.jobs[0].Amount = mustAmount("999.00", o.trade.Amount.Currency())
	return o
}

// tooLate is an order whose authorization has expired, which the event does not
// show.
func tooLate(o order) order {
	o.trade.AuthorizedAt = o.trade.AuthorizedAt.Add(-capture.AuthorizationWindow)
	o.jobs[0].AuthorizedAt = time.Time{}
	return o
}

func otherCurrency(o order) order {
	o.jobs[0].Amount = mustAmount(o.trade.Amount.Number(), "SEK")
	return o
}

func declined(o order) order {
	o.trade.State = capture.OrderDeclined
	return o
}

func unknownTrade(o order) order {
	o.known = false
	return o
}

// countJobs counts the jobs of all orders.
func countJobs(orders []order) int {
	n := 0
	for _, o := range orders {
		n += len(o.jobs)
	}
	return n
}

// mustAmount parses a constant amount of this file.
func mustAmount(number, code string) capture.Amount {
	a, err := capture.ParseAmount(number, code)
	if err != nil {
		panic(err)
	}
	return a
}
