package cli

import (
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"math"

	"github.com/capture-worker/capture-worker/capture"
)

const (
	filterBits = 26      // 8 MiB
	maxWatched = 1 << 18 // some 10 MB
	maxDoubted = 100_000 // more of them are no slips
)

var errDoubted = fmt.Errorf("more than %d trades are asked for with two amounts; is it the right file?", maxDoubted)

// trades finds the trades that an input asks for with different amounts. A
// trade is captured once, so that of two such rows neither is sent: nobody can
// say which one is meant.
//
// Its memory is bounded, however long the input is. One pass over the input
// finds the trades that may be there twice, a second compares their rows. Where
// those are too many, the two passes take the trades whose hashes lie in a part
// of the range, and further ones the rest. The chance that two of a million
// trades share a hash is below one in ten million, and would make a good row
// look bad, not the other way round.
type trades struct {
	seed     maphash.Seed
	met      filter
	from, to uint64 // the hashes that are looked at, both included
	max      int    // of watched
	watched  map[uint64]asked
	doubted  map[uint64]int // the line of the first row of a trade whose rows disagree
	late     int            // rows that were taken for good before a doubt came up
	once     bool           // a trade may not be there twice at all
}

// asked is what the rows of one trade ask, as long as they agree.
type asked struct {
	line, amount uint32 // of the first row
	rows         uint32
}

func newTrades(bits, most int) *trades {
	return &trades{
		seed: maphash.MakeSeed(), met: newFilter(bits), to: math.MaxUint64,
		max: most, watched: map[uint64]asked{}, doubted: map[uint64]int{},
	}
}

// checkAll reads an input from its start as often as it takes to know each row
// that cannot be sent, and lists and counts those.
func (t *trades) checkAll(begin func() (rows, error), list io.Writer) (found tally, err error) {
	pass := func(through func(rows) rows, list io.Writer) (tally, error) {
		in, err := begin()
		if err != nil {
			return tally{}, err
		}
		return checkRows(through(in), list)
	}
	for first := true; first || t.more(); first = false {
		if _, err := pass(t.meet, io.Discard); err != nil {
			return found, err
		}
		if first {
			found, err = pass(t.compare, list)
		} else {
			var bad tally
			bad, err = pass(t.compareRest, list)
			found.turnBad(bad.bad)
		}
		if err != nil {
			return found, err
		}
	}
	found.turnBad(t.late)
	return found, nil
}

// meet hands on all rows and watches the trades that may be there twice.
func (t *trades) meet(in rows) rows {
	return func(yield func(row, error) bool) {
		for r, err := range in {
			if err == nil && r.err == nil {
				if trade := t.hash(capture.TradeKey(r.job.TradeID)); t.looksAt(trade) && t.met.add(trade) {
					t.watch(trade)
				}
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func (t *trades) watch(trade uint64) {
	t.watched[trade] = asked{}
	for len(t.watched) > t.max {
		t.to = t.from + (t.to-t.from)/2
		maps.DeleteFunc(t.watched, func(trade uint64, _ asked) bool { return !t.looksAt(trade) })
	}
}

// compare hands on all rows, with what is wrong with them.
func (t *trades) compare(in rows) rows {
	return func(yield func(row, error) bool) {
		for r, err := range in {
			if err == nil && r.err == nil && !t.agrees(&r) && len(t.doubted) > maxDoubted {
				r, err = row{}, errDoubted
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// compareRest hands on the rows that were good in the passes before and are not.
func (t *trades) compareRest(in rows) rows {
	good := only(in, func(r row) bool { return r.err == nil })
	return only(t.compare(good), func(r row) bool { return r.err != nil })
}

// agrees compares a row with those of its trade that came before.
func (t *trades) agrees(r *row) bool {
	trade := t.hash(capture.TradeKey(r.job.TradeID))
	a, watched := t.watched[trade]
	if !watched { // it is there once, or disagrees, or is left for later
		return !t.looksAt(trade) || t.unmarked(r, trade)
	}
	amount := uint32(t.hash(r.job.Amount.String()))
	if t.once {
		amount = uint32(r.line) // so that no two rows agree
	}
	switch {
	case a.rows == 0:
		a.line, a.amount = uint32(r.line), amount
	case a.amount != amount:
		t.doubted[trade] = int(a.line)
		t.late += int(a.rows)
		delete(t.watched, trade)
		return t.unmarked(r, trade)
	}
	a.rows++
	t.watched[trade] = a
	return true
}

// more reports whether a part of the trades is left for further passes, and
// begins with it.
func (t *trades) more() bool {
	clear(t.watched)
	clear(t.met)
	if t.to == math.MaxUint64 {
		t.met, t.watched = nil, nil
		return false
	}
	t.from, t.to = t.to+1, math.MaxUint64
	return true
}

func (t *trades) hash(s string) uint64 { return maphash.String(t.seed, s) }

func (t *trades) looksAt(trade uint64) bool { return trade >= t.from && trade <= t.to }

// mark marks the rows of doubted trades, once all are known.
func (t *trades) mark(in rows) rows {
	return func(yield func(row, error) bool) {
		for r, err := range in {
			if err == nil && r.err == nil {
				t.unmarked(&r, t.hash(capture.TradeKey(r.job.TradeID)))
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// unmarked reports whether nothing is known against the trade of a row; else it
// marks the row.
func (t *trades) unmarked(r *row, trade uint64) bool {
	line, is := t.doubted[trade]
	switch {
	case is && t.once:
		r.err = fmt.Errorf("trade %s is on line %d too: a trade is captured once, and none of its rows is compared", r.job.TradeID, line)
	case is:
		r.err = fmt.Errorf("trade %s is on line %d too, with another amount: a trade is captured once, and none of its rows is sent", r.job.TradeID, line)
	}
	return !is
}

// filter tells the hashes that it has surely not met: a Bloom filter of two
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
