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

// ErrCanary ends a rollout: the first trades that were released did not end
// well, so the others were not.
var ErrCanary = errors.New("the first released trades did not end well")

// DefaultCanaryPatience is how long a rollout waits for its canaries.
const DefaultCanaryPatience = 15 * time.Minute

// canaryPoll is the pause between looks at the canaries in the ledger.
const canaryPoll = 500 * time.Millisecond

// Rollout releases many trades, one after the other.
type Rollout struct {
	Releaser *Releaser // must be set
	Rate     float64   // trades per second; 0 is no limit
	// Canary is how many trades are released first. The others follow when all
	// of these have an outcome other than parked, of a retry other than failed
	// too. 0: nobody waits.
	Canary   int
	Patience time.Duration // how long it waits for them; 0 is DefaultCanaryPatience
	// Waiting is told, where it is set, that the canaries are waited for.
	Waiting func(canaries []string)
}

// Run releases the trades and yields what became of each. A refusal is no
// error. An error ends the run: ErrCanary, or what Releaser.Release returns,
// with the trade that met it.
func (r *Rollout) Run(ctx context.Context, trades []string) iter.Seq2[Release, error] {
	return func(yield func(Release, error) bool) {
		if err := r.Releaser.mayRelease("reconcile.Rollout.Releaser"); err != nil { // also where there are no trades
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
	patience := r.Patience
	if patience <= 0 {
		patience = DefaultCanaryPatience
	}
	until := r.Releaser.Recorder.Clock().Add(patience)
	open := canaries
	for {
		var err error
		if open, err = r.look(ctx, open); err != nil || len(open) == 0 {
			return err
		}
		if !r.Releaser.Recorder.Clock().Before(until) {
			return fmt.Errorf("%w: %s without an outcome after %s; is a worker running?", ErrCanary, strings.Join(open, ", "), patience)
		}
		if err := sleep(ctx, canaryPoll); err != nil {
			return err
		}
	}
}

// look returns the canaries that have no outcome yet.
func (r *Rollout) look(ctx context.Context, canaries []string) (open []string, err error) {
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
