package worker_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/worker"
)

// resumedAfter runs a limiter with a way to answer Order Query, pauses it, and looks
// whether it is open again after a while.
func resumedAfter(t *testing.T, query func(trade string) capture.Answer, fail func(call func(capture.Answer))) {
	t.Helper()
	limiter := worker.NewGatewayLimiter(worker.GatewayLimiterConfig{
		Concurrency: 4, ProbeEvery: 5 * time.Second, Log: slog.New(slog.DiscardHandler),
		Query: func(_ context.Context, trade string) capture.Answer { return query(trade) },
	})
	ctx, stop := context.WithCancel(t.Context())
	defer synctest.Wait()
	defer stop()
	go limiter.Run(ctx)
	fail(func(a capture.Answer) {
		callThrough(ctx, limiter, func(context.Context) capture.Answer { time.Sleep(time.Millisecond); return a })
	})
	if limiter.PausedFor() == "" {
		t.Fatal("calls are not paused")
	}
	time.Sleep(5 * time.Minute)
	if why := limiter.PausedFor(); why != "" {
		t.Errorf("still paused: %s", why)
	}
}

// The gateway is well again, but for the trade that it was last asked about.
func TestOneTradeDoesNotKeepCallsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resumedAfter(t, func(trade string) capture.Answer {
			if trade == "stuck" {
				return capture.Answer{Kind: capture.AnswerUnknown, Code: capture.CodeInternal}
			}
			return noSuch
		}, func(call func(capture.Answer)) {
			call(capture.Answer{Kind: capture.AnswerDone, Order: &capture.Order{TradeID: "stuck", State: capture.OrderAuthorized}})
			for range 20 {
				call(none)
			}
		})
	})
}

// The gateway answers to a trade that it does not know with a code that is not
// published. That is no refusal of our key.
func TestAnAcceptedKeyResumesCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var right atomic.Bool
		resumedAfter(t, func(string) capture.Answer {
			if !right.Load() {
				return noKey
			}
			return capture.Answer{Kind: capture.AnswerUnknown, Code: "-4001", Why: "a code of its own"}
		}, func(call func(capture.Answer)) {
			call(noKey)
			right.Store(true)
		})
	})
}
