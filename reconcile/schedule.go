package reconcile

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Schedule says when a trade is looked at again. It is quick at first, inside
// the delivery, then slow, by delayed redelivery, and quicker again before the
// authorization's deadline. The chosen time is written to the ledger with the
// evidence, so that a restart or another worker keeps it.
type Schedule struct {
	QuickInitial time.Duration // worker.backoff.initial
	QuickMax     time.Duration // worker.backoff.max
	QuickTotal   time.Duration // worker.backoff.inline: quick tries fit into it
	SlowInitial  time.Duration // worker.retry.initial
	SlowMax      time.Duration // worker.retry.max
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
	quick := s.quickRounds()
	wait := time.Duration(0)
	if round <= quick {
		wait = nth(s.QuickInitial, s.QuickMax, round)
	} else {
		wait = nth(s.SlowInitial, s.SlowMax, round-quick)
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

// nth is the n-th wait of an exponential backoff with jitter.
func nth(initial, longest time.Duration, n int) time.Duration {
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(initial),
		backoff.WithMaxInterval(longest),
		backoff.WithMultiplier(growth),
		backoff.WithRandomizationFactor(jitter),
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
