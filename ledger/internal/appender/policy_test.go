package appender

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// step is one input to a batchPolicy, after some time.
type step struct {
	after    time.Duration
	single   time.Duration // a sample of single appends, at this cost each
	storing  time.Duration // a probe that finds this time of storing, with 100 ahead
	at       time.Duration // of it: what the PING took
	info     bool          // the stream allows batches
	refusal  bool          // it does not
	batch    time.Duration // a batch of 100, at this cost per event
	refused  bool          // the batch is refused
	slow     bool          // a batch is not confirmed
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

// transcript is what a batchPolicy did.
type transcript struct {
	rounds  int // of probes
	asks    int // how often batches looked worth a try
	choices []string
}

func (s step) on(p *batchPolicy, now time.Time, t *transcript) {
	before := p.probing
	switch {
	case s.single > 0:
		p.timedSingle(now, s.single)
	case s.at > 0:
		if p.probed(now, probe{ping: s.at, append: s.at + 100*s.storing, ahead: 100}) {
			t.asks++
		}
	case s.info:
		p.begin(now)
	case s.refusal:
		p.disable(now, WhyRefused)
	case s.batch > 0:
		p.timedBatch(now, 100, 100*s.batch, s.refused)
	case s.slow:
		p.suspend(now, WhySlow)
	case s.resample > 0:
		p.timedSingles(now, resample, resample*s.resample)
	case s.few:
		p.timedSingles(now, 2, time.Millisecond)
	}
	if p.probing && !before {
		t.rounds++
	}
	if c, news := p.takeNews(); news {
		how := "singly"
		if c.Batches {
			how = "batches"
		}
		t.choices = append(t.choices, fmt.Sprintf("%s: %s, single %s, storing %s, ping %s", how, c.Why, c.Single, c.Storing, c.Ping))
	}
}

func TestBatchPolicy(t *testing.T) {
	const fast, slow, batched = 30 * time.Microsecond, 400 * time.Microsecond, 50 * time.Microsecond
	const ping = time.Millisecond
	suspicious := times(samples, step{single: slow})
	join := func(parts ...[]step) []step { return slices.Concat(parts...) }
	sampled := join(suspicious, times(probes, step{at: ping, storing: 390 * time.Microsecond}), []step{{info: true}})
	proven := join(sampled, times(trials, step{batch: batched}))
	busy := join(suspicious, times(probes, step{at: 9 * time.Millisecond, storing: 2 * time.Microsecond}))
	const (
		chosen  = "batches: server waits for its disk, single 390µs, storing 390µs, ping 1ms"
		cost    = "singly: batches do not pay, single 390µs, storing 390µs, ping 1ms"
		cpu     = "singly: server or client waits for its processor, single 400µs, storing 2µs, ping 9ms"
		idle    = "singly: few appends at a time, single 390µs, storing 390µs, ping 1ms"
		refused = "singly: the stream allows no batches, single 390µs, storing 390µs, ping 1ms"
	)
	for _, c := range []struct {
		name     string
		steps    []step
		want     transcript
		batching bool
	}{
		{"a server that does not sync", times(100, step{single: fast}), transcript{}, false},
		{"one slow sample is noise", join(times(samples-1, step{single: slow}), times(1, step{single: fast})), transcript{}, false},
		{"occasional noise", []step{{single: slow}, {single: slow}, {single: slow}, {single: fast}, {single: slow}, {single: fast}}, transcript{}, false},
		{"a server that syncs", proven, transcript{1, 1, []string{chosen}}, true},
		{"a quick disk that syncs", join(times(samples, step{single: 130 * time.Microsecond}), times(probes, step{at: ping, storing: 120 * time.Microsecond}), []step{{info: true}}, times(trials, step{batch: batched})),
			transcript{1, 1, []string{"batches: server waits for its disk, single 120µs, storing 120µs, ping 1ms"}}, true},
		{"a busy machine that does not sync", busy, transcript{1, 0, []string{cpu}}, false},
		{"a busy machine is probed again after the suspension", join(busy, times(100, step{single: slow}), []step{{after: firstSuspension}}, busy), transcript{2, 0, []string{cpu}}, false},
		{"a busy machine that syncs", join(suspicious, times(probes/2, step{at: 9 * time.Millisecond}), times(probes-probes/2, step{at: 9 * time.Millisecond, storing: 900 * time.Microsecond}), []step{{info: true}}, times(trials, step{batch: batched})),
			transcript{1, 1, []string{"batches: server waits for its disk, single 900µs, storing 900µs, ping 9ms"}}, true},
		{"a very busy machine that does not sync", join(suspicious, times(probes, step{at: 32 * time.Millisecond, storing: 400 * time.Microsecond})),
			transcript{1, 0, []string{"singly: server or client waits for its processor, single 400µs, storing 400µs, ping 32ms"}}, false},
		{"some appends of a busy machine wait long", join(suspicious, times(probes/2, step{at: ping, storing: 50 * time.Millisecond}), times(probes-probes/2, step{at: ping, storing: fast})),
			transcript{1, 0, []string{"singly: server or client waits for its processor, single 400µs, storing 30µs, ping 1ms"}}, false},
		{"the stream allows none", join(sampled[:len(sampled)-1], []step{{refusal: true}}, times(100, step{single: slow})), transcript{1, 1, []string{refused}}, false},
		{"batches cost as much", join(sampled, times(trials, step{batch: slow})), transcript{1, 1, []string{cost}}, false},
		{"batches save less than a quarter", join(sampled, times(trials, step{batch: 320 * time.Microsecond})), transcript{1, 1, []string{cost}}, false},
		{"one slow batch is noise", join(sampled, []step{{batch: 90 * slow}}, times(trials-1, step{batch: batched})), transcript{1, 1, []string{chosen}}, true},
		{"most of the first batches are noise", join(sampled, times(trials-1, step{batch: slow}), []step{{batch: batched}}), transcript{1, 1, []string{chosen}}, true},
		{"they are suspended before the next try", join(sampled, times(trials, step{batch: slow}), times(100, step{single: slow})), transcript{1, 1, []string{cost}}, false},
		{"they are tried again after the suspension", join(sampled, times(trials, step{batch: slow}), []step{{after: firstSuspension}}, proven), transcript{2, 2, []string{cost, chosen}}, true},
		{"the second suspension is longer", join(sampled, times(trials, step{batch: slow}), []step{{after: firstSuspension}}, sampled, times(trials, step{batch: slow}), []step{{after: firstSuspension}}, suspicious),
			transcript{2, 2, []string{cost}}, false},
		{"two looks find the server fast", join(proven, []step{{after: resampleEvery, resample: fast}, {after: lookAgain, resample: fast}, {after: lookAgain, resample: slow}, {after: resampleEvery, resample: fast}}), transcript{1, 1, []string{chosen}}, true},
		{"resampling finds the server fast", join(proven, []step{{after: resampleEvery, resample: fast}, {after: lookAgain, resample: fast}, {after: lookAgain, resample: fast}}),
			transcript{1, 1, []string{chosen, "singly: batches do not pay, single 30µs, storing 390µs, ping 1ms"}}, false},
		{"resampling finds it slow", join(proven, []step{{after: resampleEvery, resample: slow}}), transcript{1, 1, []string{chosen}}, true},
		{"some batches are refused", join(proven, times(trials/2, step{batch: batched}), times(trials/2, step{batch: batched, refused: true})), transcript{1, 1, []string{chosen}}, true},
		{"all batches are refused", join(proven, times(trials, step{batch: batched, refused: true}), []step{{resample: slow}, {after: lookAgain, resample: slow}, {after: lookAgain, resample: slow}}),
			transcript{1, 1, []string{chosen, "singly: batches do not pay, single 400µs, storing 390µs, ping 1ms"}}, false},
		{"all batches are refused, and single appends cost more", join(proven, times(trials, step{batch: batched, refused: true}), []step{{resample: 2 * slow}}), transcript{1, 1, []string{chosen}}, true},
		{"a batch is not confirmed", join(proven, []step{{slow: true}}),
			transcript{1, 1, []string{chosen, "singly: a batch was late or not confirmed, single 390µs, storing 390µs, ping 1ms"}}, false},
		{"low load", join(proven, []step{{few: true}, {after: idleTime, few: true}}), transcript{1, 1, []string{chosen}}, true},
		{"low load for long", join(proven, []step{{few: true}, {after: idleTime + 1, few: true}}), transcript{1, 1, []string{chosen, idle}}, false},
		{"high load again", join(proven, []step{{after: idleTime + 1, few: true}}, suspicious), transcript{2, 1, []string{chosen, idle}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p batchPolicy
			var got transcript
			now := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
			for _, s := range c.steps {
				now = now.Add(s.after)
				s.on(&p, now, &got)
			}
			if p.batching != c.batching || got.asks != c.want.asks || got.rounds != c.want.rounds || !slices.Equal(got.choices, c.want.choices) {
				t.Errorf("batching %v, %+v; want %v, %+v", p.batching, got, c.batching, c.want)
			}
		})
	}
}

// What an operator configures is not measured.
func TestConfiguredBatches(t *testing.T) {
	now := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	off := batchPolicy{mode: Off}
	for range 100 {
		off.timedSingle(now, time.Second)
	}
	if off.batching || off.probing {
		t.Errorf("off: %+v", off)
	}
	on := batchPolicy{mode: On}
	if !on.mayBegin(now) {
		t.Fatal("on: batches do not begin")
	}
	on.begin(now)
	for range 2 * trials {
		on.timedBatch(now, 100, time.Hour, true)
	}
	on.suspend(now, WhySlow)
	on.timedSingles(now.Add(time.Hour), 2, time.Second)
	if !on.batching || on.mayBegin(now) {
		t.Errorf("on: they ended, %+v", on)
	}
	if c, news := on.takeNews(); !news || !c.Batches || c.Why != WhyConfigured {
		t.Errorf("on: %+v, %v", c, news)
	}
	on.disable(now, WhyRefused)
	if on.batching || on.mayBegin(now.Add(maxSuspension-1)) || !on.mayBegin(now.Add(maxSuspension)) {
		t.Error("on, and the stream allows none: it is to be asked again after five minutes")
	}
}
