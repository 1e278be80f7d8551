package records

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// HourSum adds up the outcomes of one hour, phase and currency.
type HourSum struct {
	Hour     int           `json:"hour"` // 0 is the first one
	Phase    capture.Phase `json:"phase"`
	Currency string        `json:"currency"`
	Total    Total         `json:"total"`
}

// maxHours bounds the hours of one query.
const maxHours = 31 * 24

// Hours adds up the outcomes of so many hours from from on, by when they were
// learned: for captured the money taken, else the money asked.
func (s *Store) Hours(ctx context.Context, from time.Time, hours int) (List[HourSum], error) {
	found := List[HourSum]{Items: []HourSum{}}
	if hours < 1 || hours > maxHours {
		return found, fmt.Errorf("%w: not 1 to %d hours", ErrPeriod, maxHours)
	}
	const money, taken = "CASE WHEN t.phase = 'captured' THEN t.taken_minor ELSE t.minor END", "CASE WHEN t.phase = 'captured' THEN t.taken_currency ELSE t.currency END"
	start := from.UnixMicro()
	text := fmt.Sprintf("SELECT (t.learned_at - %d) / 3600000000, t.phase, COALESCE(%s, ''), %s FROM trades t "+
		"WHERE t.phase IN ('captured', 'failed', 'parked') AND t.learned_at >= ? AND t.learned_at < ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
		start, taken, totalColumns(money))
	err := s.read(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if found.AsOf, err = s.asOf(ctx, tx); err != nil {
			return err
		}
		rows, err := s.query(ctx, tx, text, start, from.Add(time.Duration(hours)*time.Hour).UnixMicro())
		if err != nil {
			return err
		}
		return each(rows, func() error {
			var h HourSum
			var p parts
			err := rows.Scan(&h.Hour, &h.Phase, &h.Currency, &p.trades, &p.summed, &p.high, &p.low)
			h.Total = p.total(h.Currency)
			found.Items = append(found.Items, h)
			return err
		})
	})
	return found, err
}

// DueSum adds up the cases of one currency whose deadline is in one span of time.
type DueSum struct {
	Span     int    `json:"span"` // 0 is before the first bound, 1 from there to the second
	Currency string `json:"currency"`
	Total    Total  `json:"total"`
}

// Due adds up the money asked of cases that have a deadline, by when it is: before
// the first bound, between each two, and after the last.
func (s *Store) Due(ctx context.Context, bounds ...time.Time) (List[DueSum], error) {
	found := List[DueSum]{Items: []DueSum{}}
	if len(bounds) == 0 || len(bounds) > maxDays {
		return found, fmt.Errorf("%w: not 1 to %d bounds", ErrPeriod, maxDays)
	}
	var span strings.Builder
	args := make([]any, 0, len(bounds)+1)
	for i, bound := range bounds {
		fmt.Fprintf(&span, " WHEN t.deadline < ? THEN %d", i)
		args = append(args, bound.UnixMicro())
	}
	text := fmt.Sprintf("SELECT CASE%s ELSE %d END, COALESCE(t.currency, ''), %s FROM trades t WHERE t.case_kind IN ('%s', '%s', '%s') AND t.deadline < ? GROUP BY 1, 2 ORDER BY 1, 2",
		span.String(), len(bounds), totalColumns("t.minor"), CaseParked, CaseOpen, CaseContradicted)
	args = append(args, int64(noDeadline))
	err := s.read(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if found.AsOf, err = s.asOf(ctx, tx); err != nil {
			return err
		}
		rows, err := s.query(ctx, tx, text, args...)
		if err != nil {
			return err
		}
		return each(rows, func() error {
			var d DueSum
			var p parts
			err := rows.Scan(&d.Span, &d.Currency, &p.trades, &p.summed, &p.high, &p.low)
			d.Total = p.total(d.Currency)
			found.Items = append(found.Items, d)
			return err
		})
	})
	return found, err
}

// LastEvents lists the newest events of all trades, the newest first.
func (s *Store) LastEvents(ctx context.Context, p Page) (List[Event], error) {
	l := listing{selected: "SELECT " + eventColumns + " FROM events", order: []string{"seq"}, newest: true}
	return list(ctx, s, l, p, scanEvent, func(e Event) []any { return []any{e.Seq} })
}
