package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/ledger"
)

// maxOrders is the number of orders without a trade_id that are kept in memory.
const maxOrders = 200_000

// severalTrades marks an order with several trades.
const severalTrades = "several trades"

// findOrders finds the trades of input rows that have an order only. It reads the
// whole ledger once, if there is such a row.
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
			return fmt.Errorf("more than %d rows have an order without a trade_id; add the trade_id, or split the file", maxOrders)
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
	errOrderUnknown = errors.New("the row has no trade_id, and no trade of the ledger has its order")
	errOrderSplit   = errors.New("the row has no trade_id, and several trades of the ledger have its order; add the trade_id")
)

// withTrades sets the trade of each row that has an order only.
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
