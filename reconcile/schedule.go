package reconcile

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Schedule says when a trade is looked at again. It is quick at first, inside
// the delivery, then slow, by delayed redelivery, and quicker again before the
// authorization's deadline. The chosen time is written to the ledger with the
// evidence, so that a restart or another worker keeps it. Where no duration is
// set it is DefaultSchedule; else set them all.
type Schedule struct {
	QuickInitial time.Duration // worker.backoff.initial
	QuickMax     time.Duration // worker.backoff.max
	QuickTotal   time.Duration // worker.backoff.inline: quick tries fit into it
	SlowInitial  time.Duration // worker.retry.initial
	SlowMax      time.Duration // worker.retry.max
	// Random spreads the waits: a number from 0 to below 1. It is math/rand's
	// where nil; a simulation that must repeat itself brings its own.
	Random func() float64
}

// DefaultSchedule is the schedule where nobody sets one.
func DefaultSchedule() Schedule {
	return Schedule{
		QuickInitial: 500 * time.Millisecond, QuickMax: 10 * time.Second, QuickTotal: 15 * time.Second,
		SlowInitial: 15 * time.Second, SlowMax: 15 * time.Minute,
	}
}

// orDefault keeps a zero schedule from asking again at once, and for ever.
func (s Schedule) orDefault() Schedule {
	if s.QuickInitial != 0 || s.QuickMax != 0 || s.QuickTotal != 0 || s.SlowInitial != 0 || s.SlowMax != 0 {
		return s
	}
	d := DefaultSchedule()
	d.Random = s.Random
	return d
}

// Growth and jitter of both halves of the schedule.
const (
	growth = 2
	jitter = 0.5
)

// nearDeadline is the fraction of the time left that a wait may take: the
// closer the deadline, the denser the tries.
const nearDeadline = 4

// Next returns when to look again after the given round, counted from one. A
// zero deadline means that none is known.
func (s Schedule) Next(round int, now, deadline time.Time) time.Time {
	s = s.orDefault()
	quick := s.quickRounds()
	wait := time.Duration(0)
	if round <= quick {
		wait = s.spread(nth(s.QuickInitial, s.QuickMax, round))
	} else {
		wait = s.spread(nth(s.SlowInitial, s.SlowMax, round-quick))
	}
	if left := deadline.Sub(now); !deadline.IsZero() && left > 0 {
		wait = min(wait, max(left/nearDeadline, s.QuickMax))
	}
	return now.Add(wait)
}

// quickRounds is how many waits of the quick half fit into its total, before
// jitter.
func (s Schedule) quickRounds() int {
	n, sum := 0, time.Duration(0)
	for wait := s.QuickInitial; sum+wait <= s.QuickTotal && wait > 0; wait = min(wait*growth, s.QuickMax) {
		sum += wait
		n++
	}
	return n
}

// spread moves a wait by up to the jitter's share of it, either way, so that
// trades that met trouble together do not all come back together.
func (s Schedule) spread(wait time.Duration) time.Duration {
	random := s.Random
	if random == nil {
		random = rand.Float64
	}
	return time.Duration(float64(wait) * (1 - jitter + 2*jitter*random()))
}

// nth is the n-th wait of an exponential backoff, before jitter.
func nth(initial, longest time.Duration, n int) time.Duration {
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(initial),
		backoff.WithMaxInterval(longest),
		backoff.WithMultiplier(growth),
		backoff.WithRandomizationFactor(0),
		backoff.WithMaxElapsedTime(0),
	)
	wait := b.NextBackOff()
	// The interval stays at its maximum once it is there; counting on would
	// only cost time.
	for range min(n-1, 64) {
		wait = b.NextBackOff()
	}
	return wait
}
