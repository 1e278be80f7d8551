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
	filterBits = 26      // 8 MiB
	maxWatched = 1 << 18 // about 25 MB
	maxDoubted = 100_000 // more of them are no accident
)

var errDoubted = fmt.Errorf("more than %d trades have rows with different amounts; is it the right file?", maxDoubted)

// errTwice is wrapped by the error of a row whose trade occurs twice.
var errTwice = errors.New("a trade occurs twice")

// twiceError is the error of such a row.
type twiceError struct{ text string }

func (e *twiceError) Error() string        { return e.text }
func (e *twiceError) Is(target error) bool { return target == errTwice }

// Trades finds the trades for which an input has rows with different amounts. A
// trade is captured once, so neither of two such rows is sent: the program cannot
// know which one is correct.
//
// Its memory is limited for any length of the input. A first pass finds the trades
// that may occur twice, a second compares their rows. If there are too many, the
// two passes process only the trades in a part of the range of hashes, and further
// passes process the rest. The chance that two of a million trades share a hash is
// below one in ten million, and would make a good row look bad, not the other way
// round.
type Trades struct {
	seed     maphash.Seed
	met      filter
	from, to uint64 // the range of hashes in this pass, inclusive
	max      int    // of watched
	watched  map[uint64]asked
	doubted  map[uint64]int // the line of the first row of a trade whose rows disagree
	once     bool           // a trade must not occur twice, even with equal rows
	found    *Found         // receives rows that were counted as good before
	seen     uint32         // rows that agrees has compared
}

// asked is the request of the rows of one trade, as long as they agree.
type asked struct {
	line, amount uint32 // of the first row
	rows         uint32
	sum          capture.Amount
}

// NewTrades returns an empty Trades. With once a trade must not occur twice, else
// its rows must agree.
func NewTrades(once bool) *Trades {
	t := newTrades(filterBits, maxWatched)
	t.once = once
	return t
}

func newTrades(bits, most int) *Trades {
	return &Trades{
		seed: maphash.MakeSeed(), met: newFilter(bits), to: math.MaxUint64,
		max: most, watched: map[uint64]asked{}, doubted: map[uint64]int{},
	}
}

// CheckAll reads a file as often as needed to find every row that cannot be sent,
// lists these rows and counts all.
func (t *Trades) CheckAll(begin func() (Rows, error), list io.Writer) (*Found, error) {
	found := &Found{}
	t.found = found
	err := t.passes(begin, found)
	found.faults.list(list)
	return found, err
}

func (t *Trades) passes(begin func() (Rows, error), found *Found) error {
	pass := func(through func(Rows) Rows, each func(Row)) error {
		in, err := begin()
		if err != nil {
			return err
		}
		return check(through(in), each)
	}
	for first := true; first || t.more(); first = false {
		if err := pass(t.meet, func(Row) {}); err != nil {
			return err
		}
		through, each := t.compare, found.count
		if !first {
			through, each = t.compareRest, func(r Row) {
				found.turnBad(r, 1)
				found.faults.add(r)
			}
		}
		if err := pass(through, each); err != nil {
			return err
		}
	}
	return nil
}

// meet yields all rows and watches the trades that may occur twice.
func (t *Trades) meet(in Rows) Rows {
	return func(yield func(Row, error) bool) {
		for r, err := range in {
			if err == nil && r.Err == nil {
				if trade := t.trade(&r); t.looksAt(trade) && t.met.add(trade) {
					t.watch(trade)
				}
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func (t *Trades) watch(trade uint64) {
	t.watched[trade] = asked{}
	for len(t.watched) > t.max {
		t.to = t.from + (t.to-t.from)/2
		maps.DeleteFunc(t.watched, func(trade uint64, _ asked) bool { return !t.looksAt(trade) })
	}
}

// compare yields all rows with their errors.
func (t *Trades) compare(in Rows) Rows {
	return func(yield func(Row, error) bool) {
		for r, err := range in {
			if err == nil && r.Err == nil && !t.agrees(&r) && len(t.doubted) > maxDoubted {
				r, err = Row{}, errDoubted
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// compareRest yields the rows that earlier passes counted as good and that are not.
func (t *Trades) compareRest(in Rows) Rows {
	good := only(in, func(r Row) bool { return r.Err == nil })
	return only(t.compare(good), func(r Row) bool { return r.Err != nil })
}

// agrees compares a row with the earlier rows of its trade.
func (t *Trades) agrees(r *Row) bool {
	trade := t.trade(r)
	a, watched := t.watched[trade]
	if !watched { // the trade occurs once, disagrees already, or belongs to a later pass
		return !t.looksAt(trade) || t.unmarked(r, trade)
	}
	amount := uint32(t.hash(r.Job.Amount.String()))
	if t.once {
		t.seen++
		amount = t.seen // makes every two rows disagree
	}
	switch {
	case a.rows == 0:
		a.line, a.amount, a.sum = uint32(r.Line), amount, r.Job.Amount
	case a.amount != amount:
		t.doubted[trade] = int(a.line)
		t.found.turnBad(Row{Job: capture.Job{Amount: a.sum}}, int(a.rows))
		delete(t.watched, trade)
		return t.unmarked(r, trade)
	}
	a.rows++
	t.watched[trade] = a
	return true
}

// more reports whether a part of the trades is left for further passes, and selects
// the next part.
func (t *Trades) more() bool {
	clear(t.watched)
	clear(t.met)
	if t.to == math.MaxUint64 {
		t.met, t.watched = nil, nil
		return false
	}
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
			if err == nil && r.Err == nil {
				t.unmarked(&r, t.trade(&r))
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// unmarked reports whether the trade of a row is not doubted; else it sets the
// row's error.
func (t *Trades) unmarked(r *Row, trade uint64) bool {
	line, is := t.doubted[trade]
	switch {
	case is && t.once:
		r.Err = &twiceError{fmt.Sprintf("trade %s is on line %d too: a trade is captured once, and none of its rows is compared", r.Job.TradeID, line)}
	case is:
		r.Err = &twiceError{fmt.Sprintf("trade %s is on line %d too, with another amount: a trade is captured once, and none of its rows is sent", r.Job.TradeID, line)}
	}
	return !is
}

// filter is a Bloom filter of hashes with two bits per hash.
type filter []uint64

func newFilter(bits int) filter { return make(filter, 1<<bits/64) }

// add adds a hash and reports whether it may have been added before. It uses the
// low bits of the hash, because the ranges use the high bits.
func (f filter) add(hash uint64) (met bool) {
	met = true
	for range 2 {
		at := &f[hash/64%uint64(len(f))]
		bit := uint64(1) << (hash % 64)
		met = met && *at&bit != 0
		*at |= bit
		hash >>= filterBits
	}
	return met
}
