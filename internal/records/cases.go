package records

import (
	"context"
	"database/sql"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// CaseQuery selects unsettled trades.
type CaseQuery struct {
	Kind           string    // CaseParked, CaseOpen or CaseContradicted
	OpenedBefore   time.Time // if set: cases that began before this time
	DeadlineBefore time.Time // if set: deadlines before this time
	Reason         string    // if set: the reason of parked trades
	Currency       string    // if set: the currency of the requested sum
	ByAge          bool      // order by opening time instead of the deadline
	Dismissed      bool      // of parked ones: those whose case an operator closed too
}

// After returns the cursor of the page that begins after a listed trade.
func (q CaseQuery) After(t Trade) string { return writeCursor(q.key(t)) }

// key gives the values of the columns that order the list.
func (q CaseQuery) key(t Trade) []any {
	if q.ByAge {
		return []any{t.OpenedAt.UnixMicro(), t.Key}
	}
	return []any{deadlineKey(t), t.Key}
}

// ListCases lists cases, by default in the order of their deadlines.
func (s *Store) ListCases(ctx context.Context, q CaseQuery, p Page) (List[Trade], error) {
	l := listing{selected: "SELECT " + tradeColumns + " FROM trades t", order: []string{"t.deadline", "t.trade"}}
	if q.ByAge {
		l.order = []string{"t.opened_at", "t.trade"}
	}
	if q.Kind == CaseParked && q.Dismissed {
		l.add("t.phase = ?", string(capture.PhaseParked))
	} else {
		l.add("t.case_kind = ?", q.Kind)
	}
	if !q.OpenedBefore.IsZero() {
		l.add("t.opened_at < ?", q.OpenedBefore.UnixMicro())
	}
	if !q.DeadlineBefore.IsZero() {
		l.add("t.deadline < ?", q.DeadlineBefore.UnixMicro())
	}
	l.addIf("t.reason", q.Reason)
	l.addIf("t.currency", q.Currency)
	return list(ctx, s, l, p, func(rows *sql.Rows) (Trade, error) { return scanTrade(rows) }, q.key)
}

func deadlineKey(t Trade) int64 {
	if t.Deadline.IsZero() {
		return noDeadline
	}
	return t.Deadline.UnixMicro()
}

// CaseSum is the sum of the cases of one kind, currency and reason.
type CaseSum struct {
	Kind     string    `json:"kind"`
	Currency string    `json:"currency"`
	Reason   string    `json:"reason,omitempty"`
	Total    Total     `json:"total"`
	Oldest   time.Time `json:"oldest,omitzero"`   // when the oldest was opened
	Earliest time.Time `json:"earliest,omitzero"` // the earliest deadline
}

// CountOverdue returns how many trades have had no outcome, or one that a
// notification contradicts, since before a time.
func (s *Store) CountOverdue(ctx context.Context, before time.Time) (n int, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return s.row(ctx, tx, "SELECT COUNT(*) FROM trades WHERE case_kind IN (?, ?) AND opened_at < ?",
			CaseOpen, CaseContradicted, before.UnixMicro()).Scan(&n)
	})
	return n, err
}

// SumCases adds up the cases, by kind, currency and reason.
func (s *Store) SumCases(ctx context.Context) (List[CaseSum], error) {
	found := List[CaseSum]{Items: []CaseSum{}}
	err := s.read(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if found.AsOf, err = s.asOf(ctx, tx); err != nil {
			return err
		}
		rows, err := s.query(ctx, tx, `SELECT case_kind, COALESCE(currency, ''), COALESCE(reason, ''), MIN(opened_at), MIN(deadline), `+
			totalColumns("minor")+` FROM trades WHERE case_kind IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`)
		if err != nil {
			return err
		}
		return each(rows, func() error {
			var c CaseSum
			var opened, deadline sql.NullInt64
			var sum parts
			if err := rows.Scan(&c.Kind, &c.Currency, &c.Reason, &opened, &deadline, &sum.trades, &sum.summed, &sum.high, &sum.low); err != nil {
				return err
			}
			c.Oldest, c.Total = timeOf(opened), sum.total(c.Currency)
			if deadline.Int64 != noDeadline {
				c.Earliest = timeOf(deadline)
			}
			found.Items = append(found.Items, c)
			return nil
		})
	})
	return found, err
}
