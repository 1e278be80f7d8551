package jobfile

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"math"

	"github.com/capture-worker/capture-worker/capture"
)

const (
	maxKept    = 1 << 21 // trades in memory at a time, some 55 MB
	maxDoubted = 100_000 // more of them are no accident
)

var errDoubted = fmt.Errorf("more than %d trades have rows with different amounts; is it the right file?", maxDoubted)

// errTwice marks a row whose trade occurs twice.
var errTwice = errors.New("a trade occurs twice")

// twiceError is the error of such a row.
type twiceError struct{ text string }

func (e *twiceError) Error() string        { return e.text }
func (e *twiceError) Is(target error) bool { return target == errTwice }

// Trades finds the trades for which an input has rows with different amounts. A
// trade is captured once, so neither of two such rows is sent: the program cannot
// know which one is correct.
//
// It keeps a hash of each trade, with the line and the amount of its first row, in
// bounded memory: of a file with more trades than that it keeps those whose hashes
// lie in a part of the range, and takes the other parts in further passes. The
// chance that two of a million trades share a hash is below one in ten million, and
// would make a good row look bad, not the other way round.
type Trades struct {
	seed     maphash.Seed
	from, to uint64 // the hashes that are kept, both included
	max      int    // of first
	first    map[uint64]asked
	doubted  map[uint64]twoLines
	once     bool // a trade may not occur twice at all
}

// asked is what the first row of a trade asks.
type asked struct{ line, amount uint32 }

// twoLines are those of two rows of a trade that disagree.
type twoLines struct{ one, other uint32 }

// NewTrades returns an empty Trades. With once a trade must not occur twice, else
// its rows must agree.
func NewTrades(once bool) *Trades {
	t := newTrades(maxKept)
	t.once = once
	return t
}

func newTrades(most int) *Trades {
	return &Trades{
		seed: maphash.MakeSeed(), to: math.MaxUint64, max: most,
		first: map[uint64]asked{}, doubted: map[uint64]twoLines{},
	}
}

// CheckAll reads a file from its start as often as it takes to know each row
// that cannot be sent, lists those and counts all: once, and again for each
// further part of a long file, or if there are doubted trades.
func (t *Trades) CheckAll(begin func() (Rows, error), list io.Writer) (*Found, error) {
	found := &Found{}
	err := t.passes(begin, found)
	if err == nil && len(t.doubted) > 0 {
		*found = Found{}
		err = pass(begin, func(r Row) error {
			t.mark(&r)
			found.count(r)
			return nil
		})
	}
	found.faults.list(list)
	return found, err
}

// passes counts all rows and finds the doubted trades.
func (t *Trades) passes(begin func() (Rows, error), found *Found) error {
	for first := true; first || t.more(); first = false {
		err := pass(begin, func(r Row) error {
			if first {
				found.count(r)
			}
			if r.Err != nil {
				return nil
			}
			return t.see(&r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pass reads all rows of a file once.
func pass(begin func() (Rows, error), each func(Row) error) error {
	in, err := begin()
	if err != nil {
		return err
	}
	for r, err := range in {
		if err == nil {
			err = each(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// see compares a row with the first of its trade.
func (t *Trades) see(r *Row) error {
	trade := t.trade(r)
	if !t.looksAt(trade) {
		return nil
	}
	now := asked{uint32(r.Line), uint32(t.hash(r.Job.Amount.String()))}
	first, known := t.first[trade]
	if !known {
		t.keep(trade, now)
		return nil
	}
	if _, doubted := t.doubted[trade]; !doubted && (t.once || first.amount != now.amount) {
		t.doubted[trade] = twoLines{first.line, now.line}
	}
	if len(t.doubted) > maxDoubted {
		return errDoubted
	}
	return nil
}

// keep adds a trade. If there are too many, the upper half of the range is left
// for later.
func (t *Trades) keep(trade uint64, first asked) {
	t.first[trade] = first
	for len(t.first) > t.max {
		t.to = t.from + (t.to-t.from)/2
		maps.DeleteFunc(t.first, func(trade uint64, _ asked) bool { return !t.looksAt(trade) })
	}
}

// more reports whether a part of the trades is left for further passes, and selects
// the next part.
func (t *Trades) more() bool {
	if t.to == math.MaxUint64 {
		t.first = nil
		return false
	}
	clear(t.first)
	t.from, t.to = t.to+1, math.MaxUint64
	return true
}

func (t *Trades) hash(s string) uint64 { return maphash.String(t.seed, s) }

// trade returns the hash of a row's trade, or of its order if it names no trade.
func (t *Trades) trade(r *Row) uint64 {
	if r.Job.TradeID == "" {
		return t.hash("order " + r.Job.OrderID)
	}
	return t.hash(capture.TradeKey(r.Job.TradeID))
}

func (t *Trades) looksAt(trade uint64) bool { return trade >= t.from && trade <= t.to }

// Mark yields the rows with an error for those of doubted trades. It needs a
// complete check.
func (t *Trades) Mark(in Rows) Rows {
	return func(yield func(Row, error) bool) {
		for r, err := range in {
			if err == nil {
				t.mark(&r)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// mark makes a good row of a doubted trade a bad one.
func (t *Trades) mark(r *Row) {
	if r.Err != nil || len(t.doubted) == 0 {
		return
	}
	lines, doubted := t.doubted[t.trade(r)]
	if !doubted {
		return
	}
	text := "trade %s is asked for with different amounts on lines %d and %d: a trade is captured once, and none of its rows is sent"
	if t.once {
		text = "trade %s is on lines %d and %d: a trade is captured once, and none of its rows is compared"
	}
	r.Err = &twiceError{fmt.Sprintf(text, r.Job.TradeID, lines.one, lines.other)}
}
