package export

import (
	"cmp"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/records"
)

// What a Total adds up.
const (
	TotalAmount     = "amount"     // the money taken, or asked for failed and parked trades
	TotalSettlement = "settlement" // what the gateway settles for captured trades
)

// Total adds up the trades of one day, or of the whole period, with one outcome
// and currency.
type Total struct {
	Day      string // 2026-11-30; "" is the whole period
	Outcome  capture.Phase
	What     string // TotalAmount or TotalSettlement
	Currency string // "": trades without a sum that can be read
	Trades   int64
	Amount   string // "" if Currency is
}

type totalKey struct {
	day      string
	outcome  capture.Phase
	what     string
	currency string
}

// totals adds up minor units, which needs no rounding.
type totals map[totalKey]*totalSum

type totalSum struct {
	trades int64
	minor  big.Int
}

func (t totals) add(r *Row) {
	for _, day := range []string{"", r.At.Format(time.DateOnly)} {
		t.to(totalKey{day, r.Phase, TotalAmount, ""}, r.sum())
		if r.Phase == capture.PhaseCaptured {
			t.to(totalKey{day, r.Phase, TotalSettlement, ""}, r.settled())
		}
	}
}

func (t totals) to(key totalKey, a capture.Amount) {
	key.currency = a.Currency()
	sum := t[key]
	if sum == nil {
		sum = &totalSum{}
		t[key] = sum
	}
	sum.trades++
	if n, ok := new(big.Int).SetString(strings.Replace(a.Number(), ".", "", 1), 10); ok {
		sum.minor.Add(&sum.minor, n)
	}
}

// list returns the totals: the whole period first, then its days. An outcome
// that no trade has is in it with no trades.
func (t totals) list() []Total {
	seen := map[capture.Phase]bool{}
	for key := range t {
		seen[key.outcome] = true
	}
	for _, outcome := range []capture.Phase{capture.PhaseCaptured, capture.PhaseFailed, capture.PhaseParked} {
		if !seen[outcome] {
			t[totalKey{"", outcome, TotalAmount, ""}] = &totalSum{}
		}
	}
	list := make([]Total, 0, len(t))
	for key, sum := range t {
		total := Total{Day: key.day, Outcome: key.outcome, What: key.what, Currency: key.currency, Trades: sum.trades}
		if key.currency != "" {
			total.Amount = records.Decimal(&sum.minor, key.currency)
		}
		list = append(list, total)
	}
	slices.SortFunc(list, func(a, b Total) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.What, b.What), cmp.Compare(a.Currency, b.Currency))
	})
	return list
}
