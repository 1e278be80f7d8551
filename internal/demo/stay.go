package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/service"
)

// casesWait bounds the wait for the cases that an operator is to find.
const casesWait = 30 * time.Second

// stay runs a worker again, makes cases for an operator, and calls o.Stay.
func (w *world) stay(ctx context.Context, o Options, result Result) error {
	w.service.Close()
	if err := w.startService(ctx, o); err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- w.service.Run(working) }()
	err := w.makeCases(ctx)
	if err == nil {
		c := w.config
		c.Records.DSN = service.EmbeddedDSN(c)
		err = o.Stay(ctx, result, c)
	}
	stop()
	return errors.Join(err, <-ended)
}

// cases are orders that end with an operator, or wait.
func cases(now time.Time) []order {
	make := func(n int, amount string, age time.Duration) order {
		trade := fmt.Sprintf("demo-case-%d", n)
		sum := mustAmount(amount, "EUR")
		at := now.Add(-age).UTC().Truncate(time.Second)
		job := capture.Job{TradeID: trade, Amount: sum, OrderID: fmt.Sprintf("B-%d", 2000+n), Description: "boots and laces", AuthorizedAt: at}
		return order{trade: gatewaytest.Trade{TradeID: trade, Amount: sum, AuthorizedAt: at}, known: true, jobs: []capture.Job{job}}
	}
	const day = 24 * time.Hour
	refused := func(o order) order { // parked, and still authorized
		o.trade.Script = []gatewaytest.Step{{Code: capture.CodeRequestID}, {Code: capture.CodeRequestID}}
		return o
	}
	paid := make(1, "64.90", 3*day) // paid by another system, and less than the job asks
	paid.trade.State = capture.OrderPaid
	paid.jobs[0].Amount = mustAmount("59.90", "EUR")
	refunded := make(2, "12.50", 9*day)
	refunded.trade.State = capture.OrderRefunded
	pending := make(3, "38.00", 27*day)
	pending.trade.State = capture.OrderPending
	return []order{paid, refunded, pending, refused(make(4, "129.00", 28*day)), refused(make(5, "74.20", 20*day)), refused(make(6, "1250.00", 5*day))}
}

// badJobs become dead letters.
var badJobs = []string{
	`{"trade_id":"demo-case-7","amount":24.99,"currency":"EUR","order_id":"B-2007"}`,
	`{"trade_id":"demo-case-8","amount":"18.00","order_id":"B-2008"}`,
	`{"trade_id":"demo case 9","amount":"5.00","currency":"EUR","order_id":"B-2009"}`,
}

// makeCases publishes jobs that need an operator, and waits until they are parked.
func (w *world) makeCases(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, casesWait, errors.New("the cases of the demo were not made in time"))
	defer cancel()
	orders := cases(time.Now())
	for i := range badJobs {
		id := fmt.Sprintf("demo-case-%d", 7+i)
		if err := w.sim.AddTrades(gatewaytest.Trade{TradeID: id, Amount: mustAmount("24.99", "EUR"), AuthorizedAt: time.Now()}); err != nil {
			return err
		}
	}
	if err := w.publish(ctx, orders); err != nil {
		return err
	}
	for _, body := range badJobs {
		if _, err := w.js.Publish(ctx, "capture.jobs.shipped", []byte(body)); err != nil {
			return fmt.Errorf("publishing a malformed job: %w", err)
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, o := range orders {
		for {
			trade, err := w.ledger.LoadLatest(ctx, o.trade.TradeID)
			if err != nil {
				return err
			}
			if trade.State().Phase == capture.PhaseParked || o.trade.State == capture.OrderPending && len(trade.Events) > 1 {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("%s: %w", o.trade.TradeID, context.Cause(ctx))
			}
		}
	}
	return nil
}
