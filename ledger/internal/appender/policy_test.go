package appender

import (
	"testing"
	"time"
)

// step is one input to a batchPolicy, after some time.
type step struct {
	after    time.Duration
	single   time.Duration // a sample of single appends, at this cost each
	info     bool          // the stream allows batches
	batch    time.Duration // a batch of 100, at this cost per event
	refused  bool          // the batch is refused
	resample time.Duration // a group sent singly, at this cost each
	few      bool          // a small group
}

func times(n int, s step) []step {
	all := make([]step, n)
	for i := range all {
		all[i] = s
	}
	return all
}

func (s step) on(p *batchPolicy, now time.Time) (ask bool) {
	switch {
	case s.single > 0:
		return p.timedSingle(now, s.single)
	case s.info:
		p.begin(now)
	case s.batch > 0:
		p.timedBatch(now, 100, 100*s.batch, s.refused)
	case s.resample > 0:
		p.timedSingles(now, resample, resample*s.resample)
	case s.few:
		p.timedSingles(now, 2, time.Millisecond)
	}
	return false
}

func TestBatchPolicy(t *testing.T) {
	const fast, slow, batched = 30 * time.Microsecond, 400 * time.Microsecond, 50 * time.Microsecond
	sampled := append(times(samples, step{single: slow}), step{info: true})
	proven := append(sampled[:len(sampled):len(sampled)], times(trials, step{batch: batched})...)
	for _, c := range []struct {
		name     string
		steps    [][]step
		asks     int // how often batches looked worth a try
		batching bool
	}{
		{"a server that does not sync", [][]step{times(100, step{single: fast})}, 0, false},
		{"one slow sample is noise", [][]step{times(20, step{single: slow}), times(1, step{single: fast})}, 5, false},
		{"noise now and then", [][]step{{{single: slow}, {single: slow}, {single: slow}, {single: fast}, {single: slow}, {single: fast}}}, 0, false},
		{"a server that syncs", [][]step{proven}, 1, true},
		{"a quick disk that syncs", [][]step{times(samples, step{single: 130 * time.Microsecond}), {{info: true}}, times(trials, step{batch: batched})}, 1, true},
		{"batches cost as much", [][]step{sampled, times(trials, step{batch: slow})}, 1, false},
		{"batches save less than a quarter", [][]step{sampled, times(trials, step{batch: 320 * time.Microsecond})}, 1, false},
		{"one slow batch is noise", [][]step{sampled, {{batch: 90 * slow}}, times(trials-1, step{batch: batched})}, 1, true},
		{"most of the first batches are noise", [][]step{sampled, times(trials-1, step{batch: slow}), {{batch: batched}}}, 1, true},
		{"they are suspended before the next try", [][]step{sampled, times(trials, step{batch: slow}), times(100, step{single: slow})}, 1, false},
		{"they are tried again after the suspension", [][]step{sampled, times(trials, step{batch: slow}), {{after: firstSuspension}}, times(samples, step{single: slow})}, 2, false},
		{"the second suspension is longer", [][]step{
			sampled, times(trials, step{batch: slow}), {{after: firstSuspension}}, sampled, times(trials, step{batch: slow}),
			{{after: firstSuspension}}, times(samples, step{single: slow}),
		}, 2, false},
		{"resampling finds the server fast", [][]step{proven, {{after: resampleEvery, resample: fast}}}, 1, false},
		{"resampling finds it slow", [][]step{proven, {{after: resampleEvery, resample: slow}}}, 1, true},
		{"some batches are refused", [][]step{proven, times(trials/2, step{batch: batched}), times(trials/2, step{batch: batched, refused: true})}, 1, true},
		{"all batches are refused", [][]step{proven, times(trials, step{batch: batched, refused: true})}, 1, false},
		{"low load", [][]step{proven, {{few: true}, {after: idleTime, few: true}}}, 1, true},
		{"low load for long", [][]step{proven, {{few: true}, {after: idleTime + 1, few: true}}}, 1, false},
		{"high load again", [][]step{proven, {{after: idleTime + 1, few: true}}, times(samples, step{single: slow})}, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p batchPolicy
			now, asks := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC), 0
			for _, steps := range c.steps {
				for _, s := range steps {
					now = now.Add(s.after)
					if s.on(&p, now) {
						asks++
					}
				}
			}
			if p.batching != c.batching || asks != c.asks {
				t.Errorf("batching %v, worth a try %d times; want %v, %d", p.batching, asks, c.batching, c.asks)
			}
		})
	}
}
