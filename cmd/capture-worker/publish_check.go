package main

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
)

var errInterrupted = errors.New("interrupted")

// checked adds to the rules for one row the one about all of them, which
// trades holds.
func (t *trades) checked(ctx context.Context, in rows) rows {
	return func(yield func(row, error) bool) {
		for r, err := range in {
			if err == nil && ctx.Err() != nil {
				err = errInterrupted
			}
			if err != nil {
				yield(row{}, err)
				return
			}
			if r.err == nil {
				r.err = t.add(r)
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// trades remembers the amount of each trade of the input. A trade is captured
// once, so that of two rows with different amounts neither is sent: nobody can
// say which one is meant.
//
// It remembers hashes: a million trades take about 100 MB at the peak. The
// chance that two of a million trades share one is below one in ten million,
// and would make a good row look bad, not the other way round.
type trades struct {
	seed  maphash.Seed
	known map[uint64]asked
}

// asked is what the rows of one trade ask.
type asked struct {
	line, amount uint32 // of the first row
	good         uint32 // rows that were taken for good
	doubted      bool   // a later row asks for another amount
}

func newTrades() *trades {
	return &trades{seed: maphash.MakeSeed(), known: map[uint64]asked{}}
}

// add takes a row into account. In the second pass over the input it knows of
// doubts that come up only further down.
func (t *trades) add(r row) error {
	trade := maphash.String(t.seed, r.job.TradeID)
	amount := uint32(maphash.String(t.seed, r.job.Amount.String()))
	a, known := t.known[trade]
	if !known {
		a = asked{line: uint32(r.line), amount: amount}
	}
	a.doubted = a.doubted || a.amount != amount
	if !a.doubted {
		a.good++
	}
	t.known[trade] = a
	if a.doubted {
		return fmt.Errorf("trade %s is on line %d too, with another amount: a trade is captured once, and none of its rows is sent", r.job.TradeID, a.line)
	}
	return nil
}

// doubted counts the rows that were taken for good before a doubt came up.
func (t *trades) doubted() int {
	n := 0
	for _, a := range t.known {
		if a.doubted {
			n += int(a.good)
		}
	}
	return n
}

// tally counts rows.
type tally struct{ good, bad int }

// checkRows reads the whole input and lists the bad rows.
func checkRows(in rows, list io.Writer) (tally, error) {
	var t tally
	for r, err := range in {
		switch {
		case err != nil:
			return t, err
		case r.err != nil:
			t.bad++
			fmt.Fprintf(list, "line %d: %s\n", r.line, reason(r.err))
		default:
			t.good++
		}
	}
	return t, nil
}
