package ledger_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/capture-worker/capture-worker/ledger"
)

// method is what a client called.
type method string

const (
	callAppend method = "append"
	callLoad   method = "load"
	callLatest method = "load latest"
	callLast   method = "last"
)

// place is an event where it stands in its trade.
type place struct {
	id  string
	seq uint64
}

// question is the call of one method for one trade.
type question struct {
	method method
	trade  string
	id     string // of append: the event
	after  uint64 // of append: what the writer takes for the last
	again  bool   // of append: the very event was appended before, with whatever end
}

// reply is what the method returned. Of a load only the last sequence is told.
type reply struct {
	err  error
	seq  uint64
	ids  []string
	some bool // of last: there is one
}

// uncertainAbout is the reply of an append that ended with ErrUncertain, where
// the event was seen in the ledger by anybody at any time.
type uncertainAbout struct{ seq uint64 }

// model is the contract of ledger.Ledger for one trade, said as a machine that
// does one thing at a time: its state is the trade's events so far.
var model = porcupine.Model{
	Init: func() any { return []place(nil) },
	Step: func(state, in, out any) (bool, any) {
		events, q := state.([]place), in.(question)
		switch got := out.(type) {
		case uncertainAbout:
			return stepUncertain(events, q, got)
		case reply:
			if q.method == callAppend {
				return stepAppend(events, q, got)
			}
			return readAgrees(events, q.method, got), events
		}
		return false, events
	},
	Equal: func(a, b any) bool { return slices.Equal(a.([]place), b.([]place)) },
	DescribeOperation: func(in, out any) string {
		if r, ok := out.(reply); ok {
			return fmt.Sprintf("%+v -> %s %d %v", in, fateOf(r.err), r.seq, r.ids)
		}
		return fmt.Sprintf("%+v -> %+v", in, out)
	},
}

// stepAppend: a success stores the event behind the one that was named, or
// finds that very event there. A conflict means that something else is there.
// After any other error this call has not stored it, nor ever will; an earlier
// call with the same event may have.
func stepAppend(events []place, q question, got reply) (bool, []place) {
	standing, taken := nextBehind(events, q.after)
	switch {
	case got.err == nil && taken:
		return standing == place{q.id, got.seq}, events
	case got.err == nil:
		return lastSeq(events) == q.after && got.seq > q.after, append(slices.Clone(events), place{q.id, got.seq})
	case errors.Is(got.err, ledger.ErrConflict):
		return lastSeq(events) != q.after && !holds(events, q.id) && foundAgrees(got.err, standing, taken), events
	}
	return q.again || !holds(events, q.id), events
}

// foundAgrees: what a conflict names as the event in the way is that event.
func foundAgrees(err error, standing place, taken bool) bool {
	conflict, ok := errors.AsType[*ledger.ConflictError](err)
	return ok && (conflict.Found == 0 || taken && conflict.Found == standing.seq)
}

// stepUncertain: the event was seen, so it was stored at some time after the
// call, by this try or by a repetition of it.
func stepUncertain(events []place, q question, got uncertainAbout) (bool, []place) {
	if holds(events, q.id) {
		return true, events
	}
	return lastSeq(events) == q.after, append(slices.Clone(events), place{q.id, got.seq})
}

// readAgrees: LoadLatest and Last tell how it stands, Load how it stood once.
func readAgrees(events []place, m method, got reply) bool {
	switch m {
	case callLast:
		if !got.some {
			return len(events) == 0
		}
		return len(events) > 0 && events[len(events)-1] == place{got.ids[0], got.seq}
	case callLatest:
		if len(got.ids) != len(events) {
			return false
		}
	}
	return len(got.ids) <= len(events) && got.seq == lastSeq(events[:len(got.ids)]) &&
		slices.EqualFunc(got.ids, events[:len(got.ids)], func(id string, p place) bool { return id == p.id })
}

func lastSeq(events []place) uint64 {
	if len(events) == 0 {
		return 0
	}
	return events[len(events)-1].seq
}

// nextBehind returns the first event behind a sequence.
func nextBehind(events []place, after uint64) (place, bool) {
	for _, p := range events {
		if p.seq > after {
			return p, true
		}
	}
	return place{}, false
}

func holds(events []place, id string) bool {
	return slices.ContainsFunc(events, func(p place) bool { return p.id == id })
}
