package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/bojanz/currency"

	"github.com/capture-worker/capture-worker/capture"
)

// Clock selects the time that assigns a trade to a day.
type Clock string

// The clocks.
const (
	ByLearned Clock = "learned" // when the outcome was written
	ByPaid    Clock = "paid"    // the gateway's paid time if known, else as ByLearned
)

// maxDays is the greatest number of days of one query.
const maxDays = 400

// ErrPeriod means that the period of a query is invalid or too long.
var ErrPeriod = errors.New("not a period that can be summed up")

// SumQuery selects outcomes to add up.
type SumQuery struct {
	Phases   []capture.Phase // captured, failed, parked; none: all three
	From, To time.Time       // the outcomes of [From, To)
	By       Clock           // "" is ByLearned
	Zone     *time.Location  // time zone of the days; nil is UTC
	Daily    bool            // a sum for each day, else one for the period
}

// Sum is the total of one day, phase, currency and reason: of the captured sums, or
// of the requested sums for other phases.
type Sum struct {
	Day      string        `json:"day,omitempty"` // 2026-11-30, in the query's zone
	Phase    capture.Phase `json:"phase"`
	Currency string        `json:"currency"`
	Reason   string        `json:"reason,omitempty"`
	Total    Total         `json:"total"`
}

// Total is a number of trades and their sum.
type Total struct {
	Trades int64  `json:"trades"`
	Amount string `json:"amount"` // with the currency's own number of decimals
	// Unsummed counts the trades whose sum is unknown or too large.
	Unsummed int64 `json:"unsummed,omitempty"`
}

// Sums adds up outcomes by currency and reason, and by day if asked.
func (s *Store) Sums(ctx context.Context, q SumQuery) (List[Sum], error) {
	text, args, err := q.text()
	if err != nil {
		return List[Sum]{}, err
	}
	found := List[Sum]{Items: []Sum{}}
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if found.AsOf, err = s.asOf(ctx, tx); err != nil {
			return err
		}
		rows, err := s.query(ctx, tx, text, args...)
		if err != nil {
			return err
		}
		return each(rows, func() error {
			var sum Sum
			var p parts
			err := rows.Scan(&sum.Day, &sum.Phase, &sum.Currency, &sum.Reason, &p.trades, &p.summed, &p.high, &p.low)
			sum.Total = p.total(sum.Currency)
			found.Items = append(found.Items, sum)
			return err
		})
	})
	return found, err
}

func (q SumQuery) text() (string, []any, error) {
	periods, args, err := q.periods()
	if err != nil {
		return "", nil, err
	}
	phases := q.Phases
	if len(phases) == 0 {
		phases = []capture.Phase{capture.PhaseCaptured, capture.PhaseFailed, capture.PhaseParked}
	}
	column := "t.learned_at"
	if q.By == ByPaid {
		column = "t.booked_at"
	}
	for _, phase := range phases {
		args = append(args, string(phase))
	}
	in := strings.TrimSuffix(strings.Repeat("?, ", len(phases)), ", ")
	const money, taken = "CASE WHEN t.phase = 'captured' THEN t.taken_minor ELSE t.minor END", "CASE WHEN t.phase = 'captured' THEN t.taken_currency ELSE t.currency END"
	return "WITH periods (day, start, stop) AS (VALUES " + periods + ") SELECT p.day, t.phase, COALESCE(" + taken + ", ''), COALESCE(t.reason, ''), " +
		totalColumns(money) + " FROM periods p JOIN trades t ON " + column + " >= p.start AND " + column + " < p.stop WHERE t.phase IN (" + in +
		") GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4", args, nil
}

// periods returns the days of the query, or its whole period.
func (q SumQuery) periods() (marks string, args []any, err error) {
	if !q.From.Before(q.To) {
		return "", nil, fmt.Errorf("%w: it ends before it begins", ErrPeriod)
	}
	if q.Zone == nil {
		q.Zone = time.UTC
	}
	const one = "(CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT))"
	if !q.Daily {
		return one, []any{"", q.From.UnixMicro(), q.To.UnixMicro()}, nil
	}
	var list []string
	for start := q.From.In(q.Zone); start.Before(q.To); {
		y, m, d := start.Date()
		stop := time.Date(y, m, d+1, 0, 0, 0, 0, q.Zone)
		end := stop
		if q.To.Before(end) {
			end = q.To
		}
		list = append(list, one)
		args = append(args, start.Format(time.DateOnly), start.UnixMicro(), end.UnixMicro())
		if len(list) > maxDays {
			return "", nil, fmt.Errorf("%w: more than %d days", ErrPeriod, maxDays)
		}
		start = stop
	}
	return strings.Join(list, ", "), args, nil
}

// split prevents overflows of sums of minor units: the parts above and below it are
// added up separately.
const split = 1_000_000_000

func totalColumns(minor string) string {
	return fmt.Sprintf("COUNT(*), COUNT(%[1]s), COALESCE(CAST(SUM((%[1]s) / %[2]d) AS BIGINT), 0), COALESCE(CAST(SUM((%[1]s) %% %[2]d) AS BIGINT), 0)", minor, split)
}

// parts are totalColumns.
type parts struct{ trades, summed, high, low int64 }

func (p parts) total(code string) Total {
	n := new(big.Int).Mul(big.NewInt(p.high), big.NewInt(split))
	return Total{Trades: p.trades, Amount: Decimal(n.Add(n, big.NewInt(p.low)), code), Unsummed: p.trades - p.summed}
}

// Decimal writes minor units with the decimals of the currency.
func Decimal(minor *big.Int, code string) string {
	digits, _ := currency.GetDigits(code)
	text := minor.String()
	if digits == 0 {
		return text
	}
	if short := int(digits) + 1 - len(text); short > 0 {
		text = strings.Repeat("0", short) + text
	}
	point := len(text) - int(digits)
	return text[:point] + "." + text[point:]
}

// Counts returns how many trades are in each phase.
func (s *Store) Counts(ctx context.Context) (counts map[capture.Phase]int64, asOf uint64, err error) {
	counts = map[capture.Phase]int64{}
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if asOf, err = s.asOf(ctx, tx); err != nil {
			return err
		}
		rows, err := s.query(ctx, tx, "SELECT phase, COUNT(*) FROM trades GROUP BY phase")
		if err != nil {
			return err
		}
		return each(rows, func() error {
			var phase capture.Phase
			var n int64
			err := rows.Scan(&phase, &n)
			counts[phase] = n
			return err
		})
	})
	return counts, asOf, err
}
