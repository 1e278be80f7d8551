package reconcile

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Schedule computes when a trade is processed again. The waits are short at first,
// within one delivery; then long, by delayed redelivery; and shorter again before
// the authorization's deadline. The computed time is written to the ledger with the
// evidence, so that it survives a restart and holds for every worker. If no
// duration is set, [DefaultSchedule] is used; otherwise set all of them.
type Schedule struct {
	QuickInitial time.Duration // worker.backoff.initial
	QuickMax     time.Duration // worker.backoff.max
	QuickTotal   time.Duration // worker.backoff.inline: the sum of the short waits is at most this
	SlowInitial  time.Duration // worker.retry.initial
	SlowMax      time.Duration // worker.retry.max
	// Random returns the numbers, from 0 to below 1, that spread the waits. nil is
	// math/rand's Float64.
	Random func() float64
}

// DefaultSchedule returns the schedule of the default configuration.
func DefaultSchedule() Schedule {
	return Schedule{
		QuickInitial: 500 * time.Millisecond, QuickMax: 10 * time.Second, QuickTotal: 15 * time.Second,
		SlowInitial: 15 * time.Second, SlowMax: 15 * time.Minute,
	}
}

// orDefault returns DefaultSchedule if no duration is set, which would otherwise
// retry without a pause.
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

// nearDeadline is the divisor of the time left that limits a wait, so that tries
// become more frequent close to the deadline.
const nearDeadline = 4

// Next returns the time of the next try after the given round, counted from 1. A
// zero deadline is unknown.
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

// quickRounds returns how many short waits fit into QuickTotal, without jitter.
func (s Schedule) quickRounds() int {
	n, sum := 0, time.Duration(0)
	for wait := s.QuickInitial; sum+wait <= s.QuickTotal && wait > 0; wait = min(wait*growth, s.QuickMax) {
		sum += wait
		n++
	}
	return n
}

// spread changes a wait by up to the factor jitter, up or down, so that trades that
// failed at the same time are not all retried at the same time.
func (s Schedule) spread(wait time.Duration) time.Duration {
	random := s.Random
	if random == nil {
		random = rand.Float64
	}
	return time.Duration(float64(wait) * (1 - jitter + 2*jitter*random()))
}

// nth returns the n-th wait of an exponential backoff, without jitter.
func nth(initial, longest time.Duration, n int) time.Duration {
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(initial),
		backoff.WithMaxInterval(longest),
		backoff.WithMultiplier(growth),
		backoff.WithRandomizationFactor(0),
		backoff.WithMaxElapsedTime(0),
	)
	wait := b.NextBackOff()
	// The interval stays at its maximum, so a large n need not be counted to its end.
	for range min(n-1, 64) {
		wait = b.NextBackOff()
	}
	return wait
}
