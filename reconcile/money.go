package reconcile

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bojanz/currency"

	"github.com/capture-worker/capture-worker/capture"
)

// Sum is a sum of money in one currency.
type Sum struct {
	Currency string `json:"currency"`
	Amount   string `json:"amount"`
	Trades   int    `json:"trades"`
}

// String returns "24.90 EUR in 3 trades".
func (s Sum) String() string {
	noun := "trades"
	if s.Trades == 1 {
		noun = "trade"
	}
	return fmt.Sprintf("%s %s in %d %s", s.Amount, s.Currency, s.Trades, noun)
}

// Money adds up amounts by currency. The zero value is ready to use.
type Money struct{ sums map[string]*moneySum }

type moneySum struct {
	total  currency.Amount
	trades int
}

// Add adds one amount; the zero Amount adds nothing.
func (m *Money) Add(a capture.Amount) {
	if a.IsZero() {
		return
	}
	sum, err := currency.NewAmount(a.Number(), a.Currency())
	if err != nil {
		return // not reached: a capture.Amount is always valid
	}
	if m.sums == nil {
		m.sums = map[string]*moneySum{}
	}
	s, known := m.sums[a.Currency()]
	if !known {
		m.sums[a.Currency()] = &moneySum{total: sum, trades: 1}
		return
	}
	if total, err := s.total.Add(sum); err == nil {
		s.total, s.trades = total, s.trades+1
	}
}

// Sums returns the sums, ordered by currency.
func (m *Money) Sums() []Sum {
	all := make([]Sum, 0, len(m.sums))
	for code, s := range m.sums {
		all = append(all, Sum{Currency: code, Amount: s.total.Number(), Trades: s.trades})
	}
	slices.SortFunc(all, func(a, b Sum) int { return cmp.Compare(a.Currency, b.Currency) })
	return all
}
