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
	maxWatched = 1 << 18 // some 25 MB
	maxDoubted = 100_000 // more of them are no slips
)

var errDoubted = fmt.Errorf("more than %d trades are asked for with two amounts; is it the right file?", maxDoubted)

// errTwice marks a row whose trade is there twice.
var errTwice = errors.New("a trade is there twice")

// twiceError is such a row.
type twiceError struct{ text string }

func (e *twiceError) Error() string        { return e.text }
func (e *twiceError) Is(target error) bool { return target == errTwice }

// Trades finds the trades that an input asks for with different amounts. A
// trade is captured once, so that of two such rows neither is sent: no program can
// say which one is meant.
//
// Its memory is bounded, however long the input is. One pass over the input
// finds the trades that may be there twice, a second compares their rows. Where
// those are too many, the two passes take the trades whose hashes lie in a part
// of the range, and further ones the rest. The chance that two of a million
// trades share a hash is below one in ten million, and would make a good row
// look bad, not the other way round.
type Trades struct {
	seed     maphash.Seed
	met      filter
	from, to uint64 // the hashes that are looked at, both included
	max      int    // of watched
	watched  map[uint64]asked
	doubted  map[uint64]int // the line of the first row of a trade whose rows disagree
	once     bool           // a trade may not be there twice at all
	found    *Found         // gets rows that were taken for good before a doubt came up
	seen     uint32         // rows that agrees has looked at
}

// asked is what the rows of one trade ask, as long as they agree.
type asked struct {
	line, amount uint32 // of the first row
	rows         uint32
	sum          capture.Amount
}

// NewTrades returns one that has seen nothing. With once a trade may not be
// there twice at all, else its rows must agree.
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

// CheckAll reads a file from its start as often as it takes to know each row
// that cannot be sent, lists those and counts all.
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

// meet hands on all rows and watches the trades that may be there twice.
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

// compare hands on all rows, with what is wrong with them.
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

// compareRest hands on the rows that were good in the passes before and are not.
func (t *Trades) compareRest(in Rows) Rows {
	good := only(in, func(r Row) bool { return r.Err == nil })
	return only(t.compare(good), func(r Row) bool { return r.Err != nil })
}

// agrees compares a row with those of its trade that came before.
func (t *Trades) agrees(r *Row) bool {
	trade := t.trade(r)
	a, watched := t.watched[trade]
	if !watched { // it is there once, or disagrees, or is left for later
		return !t.looksAt(trade) || t.unmarked(r, trade)
	}
	amount := uint32(t.hash(r.Job.Amount.String()))
	if t.once {
		t.seen++
		amount = t.seen // so that no two rows agree
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

// more reports whether a part of the trades is left for further passes, and
// begins with it.
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

// trade is the hash of a row's trade, or of its order if it names no trade.
func (t *Trades) trade(r *Row) uint64 {
	if r.Job.TradeID == "" {
		return t.hash("order " + r.Job.OrderID)
	}
	return t.hash(capture.TradeKey(r.Job.TradeID))
}

func (t *Trades) looksAt(trade uint64) bool { return trade >= t.from && trade <= t.to }

// Mark marks the rows of doubted trades, once all are known.
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

// unmarked reports whether nothing is known against the trade of a row; else it
// marks the row.
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

// filter reports the hashes that it has certainly not met: a Bloom filter of two
// bits a hash.
type filter []uint64

func newFilter(bits int) filter { return make(filter, 1<<bits/64) }

// add reports whether the hash may have been added before. It takes the bits
// from the lower end of the hash: ranges are made of the upper.
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
