package records

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// walkTimeout bounds a walk over many trades, which is one transaction.
const walkTimeout = time.Hour

// OutcomeQuery selects trades by the time of the outcome that stands.
type OutcomeQuery struct {
	From, To time.Time // the outcomes of [From, To)
	By       Clock     // "" is ByLearned
}

// Outcome is a trade with an outcome, and the outcome that this one corrects.
type Outcome struct {
	Trade
	Corrected   capture.EventType // "" if none is corrected, or its event is not in the records
	CorrectedAt time.Time
}

// WalkOutcomes calls f for each trade whose outcome is of the period: captured,
// then failed, then parked, each by time and then by trade. All calls are on one
// snapshot of the database, exact as of the returned place, in constant memory.
// An error of f ends the walk and is returned.
func (s *Store) WalkOutcomes(ctx context.Context, q OutcomeQuery, f func(Outcome) error) (asOf Place, err error) {
	if !q.From.Before(q.To) {
		return Place{}, fmt.Errorf("%w: it ends before it begins", ErrPeriod)
	}
	column := "t.learned_at"
	if q.By == ByPaid {
		column = "t.booked_at"
	}
	const corrected = "(SELECT e.%[1]s FROM events e WHERE e.id = t.corrects AND e.trade = t.trade ORDER BY e.seq LIMIT 1)"
	text := "SELECT " + tradeColumns + ", COALESCE(" + fmt.Sprintf(corrected, "type") + ", ''), " + fmt.Sprintf(corrected, "at") +
		" FROM trades t WHERE t.phase = ? AND " + column + " >= ? AND " + column + " < ? ORDER BY " + column + ", t.trade"
	err = s.readFor(ctx, walkTimeout, func(ctx context.Context, tx *sql.Tx) (err error) {
		if asOf, err = s.place(ctx, tx, SourceLedger, ""); err != nil {
			return err
		}
		for _, phase := range []capture.Phase{capture.PhaseCaptured, capture.PhaseFailed, capture.PhaseParked} {
			rows, err := s.query(ctx, tx, text, string(phase), q.From.UnixMicro(), q.To.UnixMicro())
			if err != nil {
				return err
			}
			err = each(rows, func() error {
				o, err := scanOutcome(rows)
				if err != nil {
					return err
				}
				return f(o)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return asOf, err
}

func scanOutcome(rows *sql.Rows) (o Outcome, err error) {
	var at sql.NullInt64
	o.Trade, err = scanTrade(rows, &o.Corrected, &at)
	o.CorrectedAt = timeOf(at)
	return o, err
}
