package reconcile

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/capture-worker/capture-worker/capture"
)

// ErrCanary is returned by [Rollout.Run] if one of the canaries was parked (or, of
// a retry, failed) again, or had no outcome in time. The other trades were not
// released.
var ErrCanary = errors.New("the first released trades were not captured")

// DefaultCanaryTimeout is how long a rollout waits for its canaries.
const DefaultCanaryTimeout = 15 * time.Minute

// canaryPoll is the interval at which the canaries are read from the ledger.
const canaryPoll = 500 * time.Millisecond

// Rollout releases many trades, one after the other. Only Releaser must be set.
type Rollout struct {
	Releaser *Releaser
	Rate     float64 // trades per second; 0 is no limit
	// Canary is the number of trades that are released first. The others follow when
	// all of these have an outcome other than parked (of a retry: also other than
	// failed). 0 releases all at once.
	Canary  int
	Timeout time.Duration // for the outcomes of the canaries; 0 is DefaultCanaryTimeout
	// Waiting, if set, is called when the rollout starts to wait for the canaries.
	Waiting func(canaries []string)
}

// Run releases the trades and yields the result of each. A refusal is not an
// error. An error ends the run: [ErrCanary], or an error of [Releaser.Release]
// together with its trade.
func (r *Rollout) Run(ctx context.Context, trades []string) iter.Seq2[Release, error] {
	return func(yield func(Release, error) bool) {
		if err := r.Releaser.mayRelease("reconcile.Rollout.Releaser"); err != nil { // also if there are no trades
			yield(Release{}, err)
			return
		}
		limit := rate.Inf
		if r.Rate > 0 {
			limit = rate.Limit(r.Rate)
		}
		limiter := rate.NewLimiter(limit, 1)
		var canaries []string
		for i, id := range trades {
			if err := limiter.Wait(ctx); err != nil {
				yield(Release{}, err)
				return
			}
			done, err := r.Releaser.Release(ctx, id)
			if !yield(done, err) || err != nil {
				return
			}
			if !done.Result.SentBack() || len(canaries) >= r.Canary {
				continue
			}
			canaries = append(canaries, id)
			if len(canaries) < r.Canary || i == len(trades)-1 {
				continue
			}
			if err := r.await(ctx, canaries); err != nil {
				yield(Release{}, err)
				return
			}
		}
	}
}

// await waits until every canary has an outcome.
func (r *Rollout) await(ctx context.Context, canaries []string) error {
	if r.Waiting != nil {
		r.Waiting(canaries)
	}
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = DefaultCanaryTimeout
	}
	until := r.Releaser.Recorder.Clock().Add(timeout)
	open := canaries
	for {
		var err error
		if open, err = r.unsettled(ctx, open); err != nil || len(open) == 0 {
			return err
		}
		if !r.Releaser.Recorder.Clock().Before(until) {
			return fmt.Errorf("%w: %s without an outcome after %s; check that a worker is running", ErrCanary, strings.Join(open, ", "), timeout)
		}
		if err := sleep(ctx, canaryPoll); err != nil {
			return err
		}
	}
}

// unsettled returns the canaries without an outcome.
func (r *Rollout) unsettled(ctx context.Context, canaries []string) (open []string, err error) {
	for _, id := range canaries {
		trade, err := r.Releaser.Recorder.Reopen(ctx, id)
		if err != nil {
			return nil, err
		}
		outcome := trade.State.Outcome
		switch {
		case outcome == nil:
			open = append(open, id)
		case outcome.Type == capture.Parked, r.Releaser.Retry && outcome.Type == capture.Failed:
			return nil, fmt.Errorf("%w: %s is %s again (%s)", ErrCanary, id, outcome.Type, outcome.Reason)
		}
	}
	return open, nil
}
