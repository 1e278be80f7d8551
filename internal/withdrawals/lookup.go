package withdrawals

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Trades finds the trades of orders.
type Trades interface {
	// TradesOf returns, for each of the orders that is known, the trades whose jobs
	// named it.
	TradesOf(ctx context.Context, orders []string) (map[string][]string, error)
}

// maxRemembered limits the orders of which LedgerTrades remembers how far the ledger
// was searched.
const maxRemembered = 200_000

// LedgerTrades finds the trades of orders in the ledger. When it is asked about an
// order again, it reads only newer events. The zero value is not usable: set Search.
type LedgerTrades struct {
	// Search is ledger.JetStream.TradesOfOrders.
	Search func(ctx context.Context, orders map[string]bool, after uint64) (trades map[string][]string, upTo uint64, err error)
	// Known, if set, returns what an index of the ledger knows of orders, and the
	// sequence up to which that is complete. It is asked about an order once; what came
	// since is searched.
	Known func(ctx context.Context, orders []string) (trades map[string][]string, upTo uint64)

	mu    sync.Mutex
	known map[string]searched
}

// searched is what was found of an order up to a sequence of the ledger.
type searched struct {
	trades []string
	upTo   uint64
}

// TradesOf implements Trades.
func (l *LedgerTrades) TradesOf(ctx context.Context, orders []string) (map[string][]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(orders) == 0 {
		return nil, nil
	}
	if len(l.known)+len(orders) > maxRemembered || l.known == nil {
		l.known = map[string]searched{}
	}
	l.index(ctx, orders)
	wanted, after := map[string]bool{}, l.known[orders[0]].upTo
	for _, order := range orders {
		wanted[order] = true
		after = min(after, l.known[order].upTo)
	}
	found, upTo, err := l.Search(ctx, wanted, after)
	for order := range wanted {
		k := l.known[order]
		for _, trade := range found[order] {
			if !slices.Contains(k.trades, trade) {
				k.trades = append(k.trades, trade)
			}
		}
		k.upTo = max(k.upTo, upTo)
		l.known[order] = k
	}
	if err != nil {
		return nil, err
	}
	trades := map[string][]string{}
	for order := range maps.Keys(wanted) {
		if of := l.known[order].trades; len(of) > 0 {
			trades[order] = slices.Clone(of)
		}
	}
	return trades, nil
}

// index asks the index about the orders that were not searched before.
func (l *LedgerTrades) index(ctx context.Context, orders []string) {
	if l.Known == nil {
		return
	}
	var first []string
	for _, order := range orders {
		if _, is := l.known[order]; !is {
			first = append(first, order)
		}
	}
	if len(first) == 0 {
		return
	}
	trades, upTo := l.Known(ctx, first)
	for _, order := range first {
		l.known[order] = searched{trades: trades[order], upTo: upTo}
	}
}
