package ledger

import "time"

// How the two ways are compared. One by one is what a server that does not sync
// does best. Where it syncs every message, a batch costs two syncs and some
// files whatever its size (2.5 ms on a disk that syncs in 0.2 ms, so that it
// pays from a dozen events on).
const (
	// fewest is how many appends have to wait at once for a batch to pay, and
	// to be under way at once for their pace to say anything.
	fewest = 16
	// most is the size of a batch; a server takes 1000 by default.
	most = 256
	// suspicious is the cost of an append, many under way at once, from which on
	// batches are tried. A server that does not sync needs a third of it.
	suspicious = 100 * time.Microsecond
	// paces is how many stretches are timed, of which the fastest counts: noise
	// only ever adds.
	paces = 4
	// tries is how many batches are timed before they are judged; again the
	// fastest counts. The first ones are small: the queue has yet to gather.
	tries = 8
	// glance is how many appends go one by one, and how often, to see whether
	// batches still pay.
	glance      = 32
	glanceEvery = 30 * time.Second
	// calm is how long no batch came together until gathering ends.
	calm = 5 * time.Second
	// After batches did not pay they rest, longer from time to time.
	firstRest = 10 * time.Second
	longRest  = 5 * time.Minute
)

// way chooses how appends go to the server, by what each way was seen to cost.
// Batches have to save a quarter to be taken, and to lose to be left, so that
// it does not swing. It knows no clock and is guarded by its owner. The zero
// value goes one by one.
type way struct {
	batching bool
	always   bool          // batches of any size whatever they cost, for tests
	one      time.Duration // the cost of an append one by one
	each     time.Duration // the cost of one event of a batch
	proven   bool          // batches were judged, and paid
	limit    int           // the size of a batch, where the server allows less than most
	since    time.Time     // batching began
	last     time.Time     // a batch came together
	next     time.Time     // not before: batches are tried, or one by one is
	rest     time.Duration

	// Of the stretches or batches timed since the last judgement:
	least   time.Duration
	timed   int
	refused int
}

// time takes one cost more.
func (w *way) time(cost time.Duration) {
	if w.timed == 0 || cost < w.least {
		w.least = cost
	}
	w.timed++
}

func (w *way) again() { w.least, w.timed, w.refused = 0, 0, 0 }

// pace takes the cost of appends that went one by one, and reports whether
// batches may be worth a try.
func (w *way) pace(now time.Time, cost time.Duration) bool {
	if w.batching {
		return false
	}
	w.time(cost)
	if w.timed < paces {
		return false
	}
	w.one = w.least
	w.again()
	return w.one > suspicious && w.size() >= fewest && !now.Before(w.next)
}

// begin tries batches.
func (w *way) begin(now time.Time) {
	w.again()
	w.batching, w.proven, w.each = true, false, 0
	w.since, w.last, w.next = now, now, now.Add(glanceEvery)
}

// size is how many events a batch may have.
func (w *way) size() int {
	if w.limit > 0 {
		return w.limit
	}
	return most
}

// upTo is how many appends may go together now. At times it is time for a
// glance at how they do one by one.
func (w *way) upTo(now time.Time) (n int, glancing bool) {
	if w.proven && !w.always && !now.Before(w.next) {
		return glance, true
	}
	return w.size(), false
}

// pays reports whether so many should go as a batch.
func (w *way) pays(n int) bool { return w.always || n >= fewest }

// timedOneByOne takes what a group cost that went one by one.
func (w *way) timedOneByOne(now time.Time, n int, took time.Duration) {
	switch {
	case !w.batching:
		return
	case n < fewest:
		if now.Sub(w.last) > calm {
			w.stop()
			w.next = now
		}
		return
	}
	w.one, w.next = took/time.Duration(n), now.Add(glanceEvery)
	w.judge(now)
}

// timedBatch takes what a batch cost. The events of one that was refused have to
// go one by one on top.
func (w *way) timedBatch(now time.Time, n int, took time.Duration, refused bool) {
	if !w.batching || n < fewest {
		return
	}
	w.last = now
	w.time(took / time.Duration(n))
	if refused {
		w.refused++
	}
	if w.timed < tries {
		return
	}
	w.each = w.least + w.one*time.Duration(w.refused)/time.Duration(w.timed)
	w.again()
	if !w.proven && w.each > w.one/4*3 {
		w.leave(now)
		return
	}
	w.proven = true
	w.judge(now)
}

func (w *way) judge(now time.Time) {
	if w.each > w.one {
		w.leave(now)
	}
}

// leave goes one by one again, for a while that grows where batches never paid
// for long.
func (w *way) leave(now time.Time) {
	if w.always || !w.batching {
		return
	}
	if w.rest == 0 || now.Sub(w.since) > glanceEvery {
		w.rest = firstRest
	} else {
		w.rest = min(2*w.rest, longRest)
	}
	w.stop()
	w.next = now.Add(w.rest)
}

// stop goes one by one until batches seem worth a try again.
func (w *way) stop() {
	if !w.always {
		w.again()
		w.batching = false
	}
}

// forbid goes one by one for long: the stream takes no batches.
func (w *way) forbid(now time.Time) {
	w.leave(now)
	w.next = now.Add(longRest)
}

// shrink halves the batches: the server said that they are too large.
func (w *way) shrink(now time.Time) {
	if w.limit = w.size() / 2; w.limit < fewest && !w.always {
		w.forbid(now)
	}
	w.limit = max(w.limit, 1)
}
