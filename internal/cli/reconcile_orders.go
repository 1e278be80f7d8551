package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/ledger"
)

// maxOrders bounds the orders without a trade that are kept in memory.
const maxOrders = 200_000

// severalTrades marks an order that more than one trade has.
const severalTrades = "several trades"

// findOrders finds the trades of the orders in the input that name none. It
// reads the whole ledger, once, and only if there is such an order.
func (r *reconciling) findOrders(ctx context.Context, in *jobfile.Input) error {
	r.orders = nil
	wanted := map[string]string{}
	all, err := r.bookRows(ctx, in)
	if err != nil {
		return err
	}
	for row, err := range all {
		if err != nil {
			return err
		}
		if row.Err == nil && row.Job.TradeID == "" {
			wanted[row.Job.OrderID] = ""
		}
		if len(wanted) > maxOrders {
			return fmt.Errorf("more than %d orders are given without their trade; give trade_id, or smaller files", maxOrders)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	r.orders = wanted
	for id, err := range r.o.ledger.Trades(ctx, ledger.Filter{}) {
		if err != nil {
			return fmt.Errorf("looking for the trades of orders: %w", err)
		}
		trade, err := r.o.ledger.Load(ctx, id)
		if err != nil {
			return fmt.Errorf("looking for the trades of orders: %w", err)
		}
		for _, order := range capture.Orders(trade.Events) {
			switch known, asked := wanted[order]; {
			case asked && known == "":
				wanted[order] = id
			case asked && known != id:
				wanted[order] = severalTrades
			}
		}
	}
	return nil
}

var (
	errOrderUnknown = errors.New("no trade of the ledger has this order, and no trade_id is given")
	errOrderSplit   = errors.New("several trades of the ledger have this order; give the trade_id")
)

// withTrades gives each row that names an order only its trade.
func (r *reconciling) withTrades(in jobfile.Rows) jobfile.Rows {
	if r.orders == nil {
		return in
	}
	return func(yield func(jobfile.Row, error) bool) {
		for row, err := range in {
			if err == nil && row.Err == nil && row.Job.TradeID == "" {
				row.Job.TradeID = r.orders[row.Job.OrderID]
				switch row.Job.TradeID {
				case "":
					row.Err = errOrderUnknown
				case severalTrades:
					row.Err = errOrderSplit
				}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}
