package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/worker"
)

// scarceLimiter serves ten calls a second, so that turns are scarce.
func scarceLimiter() *worker.GatewayLimiter {
	return worker.NewGatewayLimiter(worker.GatewayLimiterConfig{
		Concurrency: 64, Rate: 10, ProbeEvery: time.Second, Log: slog.New(slog.DiscardHandler),
		Query: func(context.Context, string) capture.Answer { return useful },
	})
}

// crowd has n jobs wait for turns on a lane; it counts those that got one.
func crowd(ctx context.Context, wait *sync.WaitGroup, lane worker.Limiter, n int, got *atomic.Int64) {
	for range n {
		wait.Go(func() {
			leave, err := lane.Acquire(ctx)
			if err != nil {
				return
			}
			leave()
			got.Add(1)
		})
	}
}

// A batch of thousands waits; live jobs that come later get their share at
// once, and the batch takes what they leave.
func TestLanesShareByWeight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limiter := scarceLimiter()
		live, batch := limiter.Lane("live", 4), limiter.Lane("batch", 1)
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		var ofBatch, ofLive atomic.Int64
		crowd(ctx, &wait, batch, 2000, &ofBatch)
		time.Sleep(10 * time.Second)
		before := ofBatch.Load()
		if before < 90 || before > 110 {
			t.Errorf("alone, the batch got %d turns in 10 s, want all hundred", before)
		}
		crowd(ctx, &wait, live, 2000, &ofLive)
		time.Sleep(100 * time.Second)
		l, b := float64(ofLive.Load()), float64(ofBatch.Load()-before)
		if share := l / (l + b); share < .78 || share > .82 {
			t.Errorf("with weights 4 and 1 the live lane got %.2f of the turns", share)
		}
		cancel()
		wait.Wait()
	})
}

// One live job behind a batch of thousands waits for one turn, not for all.
func TestLiveJobDoesNotQueueBehindABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limiter := scarceLimiter()
		live, batch := limiter.Lane("live", 4), limiter.Lane("batch", 1)
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		var got atomic.Int64
		crowd(ctx, &wait, batch, 2000, &got)
		time.Sleep(time.Second)
		begin := time.Now()
		if leave, err := live.Acquire(t.Context()); err != nil {
			t.Error(err)
		} else {
			leave()
		}
		if waited := time.Since(begin); waited > 250*time.Millisecond {
			t.Errorf("it waited %s at ten turns a second", waited)
		}
		cancel()
		wait.Wait()
	})
}

// For every cause of the end of the wait the job is requeued as at a stop.
func TestAWaitForATurnEndsAsCanceled(t *testing.T) {
	t.Parallel()
	limiter := scarceLimiter()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the streams do not fit any more"))
	if _, err := limiter.Acquire(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Acquire: %v, want context.Canceled", err)
	}
}

// Who stops waiting gives up its place in the queue, and a turn granted in the
// same moment goes to the next.
func TestCancelledTurnLosesNoPlace(t *testing.T) {
	t.Parallel()
	w := newLimiterWorld(t, 1, 0) // two places
	defer w.close()
	var tries sync.WaitGroup
	for i := range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%20)*50*time.Microsecond)
		tries.Go(func() {
			defer cancel()
			if leave, err := w.limiter.Acquire(ctx); err == nil {
				leave()
			}
		})
	}
	tries.Wait()
	for range 2 {
		if _, err := w.limiter.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := w.limiter.Acquire(ctx); err == nil {
		t.Error("there are three places now")
	}
	if n := w.limiter.Waiting(); n != 0 {
		t.Errorf("%d still wait", n)
	}
}
