package records

import (
	"context"
	"database/sql"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// CaseQuery selects trades that are not settled.
type CaseQuery struct {
	Kind           string    // CaseParked, CaseOpen or CaseContradicted
	OpenedBefore   time.Time // if set: a case since before it
	DeadlineBefore time.Time // if set: the deadline is before it
	Reason         string    // if set: of parked ones
	Currency       string    // if set: of the sum asked
	ByAge          bool      // the longest open first, instead of the earliest deadline
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

// ListCases lists cases, those first whose authorization expires first.
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

// CaseSum is the money at stake in cases of one kind, currency and reason.
type CaseSum struct {
	Kind     string    `json:"kind"`
	Currency string    `json:"currency"`
	Reason   string    `json:"reason,omitempty"`
	Total    Total     `json:"total"`
	Oldest   time.Time `json:"oldest,omitzero"`   // since when the longest is open
	Earliest time.Time `json:"earliest,omitzero"` // the first deadline
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
