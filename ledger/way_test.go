package ledger

import (
	"testing"
	"time"
)

// step is what happens to a way, after some time.
type step struct {
	after   time.Duration
	pace    time.Duration // many one by one, at this cost
	info    bool          // the stream is found to take batches
	batch   time.Duration // a batch of 100, at this cost an event
	refused bool          // which is refused
	glance  time.Duration // a group one by one, at this cost
	few     bool          // a small group
	large   bool          // a batch is too large
}

func times(n int, s step) []step {
	all := make([]step, n)
	for i := range all {
		all[i] = s
	}
	return all
}

func (s step) on(w *way, now time.Time) (ask bool) {
	switch {
	case s.pace > 0:
		return w.pace(now, s.pace)
	case s.info:
		w.begin(now)
	case s.batch > 0:
		w.timedBatch(now, 100, 100*s.batch, s.refused)
	case s.glance > 0:
		w.timedOneByOne(now, glance, glance*s.glance)
	case s.few:
		w.timedOneByOne(now, 2, time.Millisecond)
	case s.large:
		w.shrink(now)
	}
	return false
}

func TestWay(t *testing.T) {
	const fast, slow, batched = 30 * time.Microsecond, 400 * time.Microsecond, 50 * time.Microsecond
	paced := append(times(paces, step{pace: slow}), step{info: true})
	proven := append(paced[:len(paced):len(paced)], times(tries, step{batch: batched})...)
	for _, c := range []struct {
		name     string
		steps    [][]step
		asks     int // how often batches looked worth a try
		batching bool
	}{
		{"a server that does not sync", [][]step{times(100, step{pace: fast})}, 0, false},
		{"one slow stretch is noise", [][]step{times(20, step{pace: slow}), times(1, step{pace: fast})}, 5, false},
		{"noise now and then", [][]step{{{pace: slow}, {pace: slow}, {pace: slow}, {pace: fast}, {pace: slow}, {pace: fast}}}, 0, false},
		{"a server that syncs", [][]step{proven}, 1, true},
		{"a quick disk that syncs", [][]step{times(paces, step{pace: 130 * time.Microsecond}), {{info: true}}, times(tries, step{batch: batched})}, 1, true},
		{"batches cost as much", [][]step{paced, times(tries, step{batch: slow})}, 1, false},
		{"batches save less than a quarter", [][]step{paced, times(tries, step{batch: 320 * time.Microsecond})}, 1, false},
		{"one slow batch is noise", [][]step{paced, {{batch: 90 * slow}}, times(tries-1, step{batch: batched})}, 1, true},
		{"so are most of the first", [][]step{paced, times(tries-1, step{batch: slow}), {{batch: batched}}}, 1, true},
		{"they rest before the next try", [][]step{paced, times(tries, step{batch: slow}), times(100, step{pace: slow})}, 1, false},
		{"and are tried again", [][]step{paced, times(tries, step{batch: slow}), {{after: firstRest}}, times(paces, step{pace: slow})}, 2, false},
		{"the second rest is longer", [][]step{
			paced, times(tries, step{batch: slow}), {{after: firstRest}}, paced, times(tries, step{batch: slow}),
			{{after: firstRest}}, times(paces, step{pace: slow}),
		}, 2, false},
		{"a glance finds the server fast", [][]step{proven, {{after: glanceEvery, glance: fast}}}, 1, false},
		{"a glance finds it slow", [][]step{proven, {{after: glanceEvery, glance: slow}}}, 1, true},
		{"some batches are refused", [][]step{proven, times(tries/2, step{batch: batched}), times(tries/2, step{batch: batched, refused: true})}, 1, true},
		{"all batches are refused", [][]step{proven, times(tries, step{batch: batched, refused: true})}, 1, false},
		{"little to do", [][]step{proven, {{few: true}, {after: calm, few: true}}}, 1, true},
		{"little to do for long", [][]step{proven, {{few: true}, {after: calm + 1, few: true}}}, 1, false},
		{"much to do again", [][]step{proven, {{after: calm + 1, few: true}}, times(paces, step{pace: slow})}, 2, false},
		{"smaller batches", [][]step{proven, {{large: true}}}, 1, true},
		{"too small ones", [][]step{proven, times(5, step{large: true})}, 1, false},
		{"too small ones, for good", [][]step{proven, times(5, step{large: true}), {{after: time.Hour}}, times(paces, step{pace: slow})}, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w way
			now, asks := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC), 0
			for _, steps := range c.steps {
				for _, s := range steps {
					now = now.Add(s.after)
					if s.on(&w, now) {
						asks++
					}
				}
			}
			if w.batching != c.batching || asks != c.asks {
				t.Errorf("batching %v, worth a try %d times; want %v, %d", w.batching, asks, c.batching, c.asks)
			}
		})
	}
}
