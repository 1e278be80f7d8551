// Package export writes the outcomes of a period for finance: every captured,
// failed and parked trade, with totals per day and currency, as CSV, as an Excel
// workbook or as Parquet.
//
// It reads the records alone: neither the gateway nor its key is needed. Rows
// are written as they are read, so that memory does not grow with their number.
// Amounts are decimals in every format and never pass through binary floating
// point unless the result is the same decimal.
package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/records"
)

// ErrPeriod is wrapped by errors about a period that cannot be exported.
var ErrPeriod = errors.New("not a period that can be exported")

// maxDays bounds a period: totals are kept for each of its days.
const maxDays = 400

// Period is a number of whole days in a time zone.
type Period struct {
	From, To time.Time // [From, To), both the beginning of a day in Zone
	Zone     *time.Location
	Name     string // for file names: 2026-11, or 2026-11-01--2026-11-14
}

// Month returns the period of a month written as 2026-11.
func Month(text string, zone *time.Location) (Period, error) {
	from, err := time.ParseInLocation("2006-01", text, zone)
	if err != nil {
		return Period{}, fmt.Errorf("%w: %.20q is not a month such as 2026-11", ErrPeriod, text)
	}
	return Period{From: from, To: from.AddDate(0, 1, 0), Zone: zone, Name: text}, nil
}

// Days returns the period from one day to another, both included.
func Days(first, last string, zone *time.Location) (Period, error) {
	var days [2]time.Time
	for i, text := range []string{first, last} {
		day, err := time.ParseInLocation(time.DateOnly, text, zone)
		if err != nil {
			return Period{}, fmt.Errorf("%w: %.20q is not a day such as 2026-11-02", ErrPeriod, text)
		}
		days[i] = day
	}
	p := Period{From: days[0], To: days[1].AddDate(0, 0, 1), Zone: zone, Name: first + "--" + last}
	switch {
	case days[1].Before(days[0]):
		return Period{}, fmt.Errorf("%w: the last day is before the first day", ErrPeriod)
	case p.To.After(days[0].AddDate(0, 0, maxDays)):
		return Period{}, fmt.Errorf("%w: it has more than %d days", ErrPeriod, maxDays)
	}
	return p, nil
}

// About is what a reader of an export has to know about it. Every format
// carries it.
type About struct {
	Period  Period
	By      records.Clock // by which time a trade belongs to a day
	Made    time.Time
	Version string        // of the program
	Source  string        // what was read
	AsOf    records.Place // how far that was
}

// CoversPeriod reports whether an event from after the period was read. If not,
// outcomes of the period may be missing: they may not be read yet, or not written.
func (a About) CoversPeriod() bool { return !a.AsOf.Stored.Before(a.Period.To) }

// Row is a trade of the period.
type Row struct {
	records.Outcome
	At      time.Time // when it belongs, in the period's zone
	AtIs    records.Clock
	Cleared Cleared // if there is a Clearing
}

// sum is the money taken, or the money asked if none was taken.
func (r *Row) sum() capture.Amount {
	if r.Phase == capture.PhaseCaptured {
		return r.Taken
	}
	return r.Asked
}

// settled is what the gateway settles, the zero Amount if that cannot be read.
func (r *Row) settled() capture.Amount {
	a, err := capture.ReadAmount(r.SettlementAmount, r.SettlementCurrency)
	if err != nil {
		return capture.Amount{}
	}
	return a
}

// Clearing is where the gateway's own clearing report (v3.GetTradebill) will come
// in: what the gateway says that it settled of a trade. The shape of that report
// could not be verified, so nothing implements Clearing yet; with one, every row
// gets the columns that begin with cleared_.
type Clearing interface {
	// Cleared returns what the report says of a trade. It is not ok if the report
	// does not have the trade.
	Cleared(context.Context, records.Trade) (line Cleared, ok bool, err error)
}

// Cleared is a trade's line of a clearing report.
type Cleared struct {
	Amount    capture.Amount // paid out
	Fee       capture.Amount
	Reference string // of the report or of the payout
}

// Options of an export.
type Options struct {
	Period   Period
	By       records.Clock
	Version  string
	Source   string    // for About
	Now      time.Time // for About
	Clearing Clearing  // nil: no clearing report
}

// writer writes one format.
type writer interface {
	row(*Row) error
	// finish writes the totals and what is known at the end.
	finish(About, []Total) error
}

// Result is what was written.
type Result struct {
	About  About
	Totals []Total
}

// write walks over the outcomes and hands them to w.
func write(ctx context.Context, store *records.Store, o Options, w writer) (Result, error) {
	sums := totals{}
	asOf, err := store.WalkOutcomes(ctx, records.OutcomeQuery{From: o.Period.From, To: o.Period.To, By: o.By}, func(t records.Outcome) error {
		row := Row{Outcome: t, At: t.LearnedAt, AtIs: records.ByLearned}
		if o.By == records.ByPaid && t.Phase == capture.PhaseCaptured && !t.PaidAt.IsZero() {
			row.At, row.AtIs = t.PaidAt, records.ByPaid
		}
		row.At = row.At.In(o.Period.Zone)
		if o.Clearing != nil {
			line, ok, err := o.Clearing.Cleared(ctx, t.Trade)
			if err != nil {
				return fmt.Errorf("looking up trade %s in the clearing report: %w", t.TradeID, err)
			}
			if ok {
				row.Cleared = line
			}
		}
		sums.add(&row)
		return w.row(&row)
	})
	if err != nil {
		return Result{}, err
	}
	about := About{Period: o.Period, By: o.By, Made: o.Now, Version: o.Version, Source: o.Source, AsOf: asOf}
	r := Result{About: about, Totals: sums.list()}
	return r, w.finish(about, r.Totals)
}
