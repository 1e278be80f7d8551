package ledger_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/capture-worker/capture-worker/ledger"
)

// method is the name of the called method.
type method string

const (
	callAppend method = "append"
	callLoad   method = "load"
	callLatest method = "load latest"
	callLast   method = "last"
)

// place is an event with its sequence.
type place struct {
	id  string
	seq uint64
}

// question is one call.
type question struct {
	method method
	trade  string
	id     string // append: the event
	after  uint64 // append: the stated last sequence
	again  bool   // append: the same event was appended before, with any result
}

// reply is the result of a call. A load returns the last sequence only.
type reply struct {
	err  error
	seq  uint64
	ids  []string
	some bool // last: there is an event
}

// uncertainAbout is the result of an append that ended with ErrUncertain and whose
// event was read later.
type uncertainAbout struct{ seq uint64 }

// model is the contract of ledger.Ledger for one trade as a sequential state
// machine. Its state is the list of the trade's events.
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

// stepAppend reports whether the result of an append is legal: a success stores the
// event after the stated one, or finds the same event there. A conflict means that
// another event is there. After any other error this call has not stored the event
// and will not; an earlier call with the same event may have.
func stepAppend(events []place, q question, got reply) (bool, []place) {
	standing, taken := nextAfter(events, q.after)
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

// foundAgrees reports whether a conflict names the event that is there.
func foundAgrees(err error, standing place, taken bool) bool {
	conflict, ok := errors.AsType[*ledger.ConflictError](err)
	return ok && (conflict.Found == 0 || taken && conflict.Found == standing.seq)
}

// stepUncertain reports whether an uncertain append is legal: the event was read
// later, so it was stored at some time after the call, by this call or by another
// one with the same event.
func stepUncertain(events []place, q question, got uncertainAbout) (bool, []place) {
	if holds(events, q.id) {
		return true, events
	}
	return lastSeq(events) == q.after, append(slices.Clone(events), place{q.id, got.seq})
}

// readAgrees reports whether a read is right: LoadLatest and Last return the
// current state, Load may return an earlier one.
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

// nextAfter returns the first event after a sequence.
func nextAfter(events []place, after uint64) (place, bool) {
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
