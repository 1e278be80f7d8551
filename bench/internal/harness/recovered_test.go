package harness_test

import (
	"math"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
	"github.com/capture-worker/capture-worker/bench/internal/harness"
)

// history has an outage end at 0 and calls come from 3 s on, at a rate that
// tells by seconds since then; nine calls in ten are captures.
func history(over time.Time, rate func(s float64) float64) (all []fixture.Counts) {
	calls := 0.0
	for ms := 0; ms < 20_000; ms += 20 {
		if s := float64(ms)/1000 - 3; s >= 0 {
			calls += rate(s) * 0.02
		}
		n := int64(calls)
		all = append(all, fixture.Counts{
			At:       over.Add(time.Duration(ms) * time.Millisecond),
			Captures: n - n/10, Queries: n / 10, Effects: n - n/10,
		})
	}
	return all
}

func TestRecovered(t *testing.T) {
	over := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 0.03*max(want, 1) {
			t.Errorf("%s: %.3f, want %.3f", what, got, want)
		}
	}
	steady, err := harness.Recovered(history(over, func(float64) float64 { return 3000 }), over, 2700)
	if err != nil {
		t.Fatal(err)
	}
	near("drain", steady.Drain, 1)
	near("first second", steady.First, 1)
	near("worst second", steady.Most, 1)
	near("behind", steady.Behind, 3)
	stampede, err := harness.Recovered(history(over, func(s float64) float64 {
		if s >= 2 && s < 3 {
			return 9000
		}
		return 3000
	}), over, 2700)
	if err != nil {
		t.Fatal(err)
	}
	near("first second before a stampede", stampede.First, 1)
	near("worst second of a stampede", stampede.Most, 3)
	if _, err := harness.Recovered(history(over, func(float64) float64 { return 0 }), over, 2700); err == nil {
		t.Error("a worker that never came back has recovered")
	}
}

func TestWindow(t *testing.T) {
	if from, to := harness.Window(1000); from != 100 || to != 950 {
		t.Errorf("window %d to %d, want 100 to 950", from, to)
	}
}
