package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/metrics"
	"github.com/capture-worker/capture-worker/worker"
)

// gauge adds the series that are asked of the workers when they are read.
func gauge(m *metrics.Metrics, crew worker.Crew, room *worker.Room) {
	gate := crew.Gate
	m.Gauge("capture_jobs_in_hand", "Jobs in hand or being pulled.", func() float64 { return float64(crew.InHand()) })
	m.Gauge("capture_jobs_waiting_inside", "Jobs in hand that wait for their next try.", func() float64 { return float64(room.Waiting()) })
	m.Gauge("capture_gateway_calls_in_flight", "Gateway calls in flight.", func() float64 { return float64(gate.Calls()) })
	m.Gauge("capture_gateway_turns_waiting", "Jobs that wait for the rate limit or a turn at the gateway.",
		func() float64 { return float64(gate.Waiting()) })
	m.Gauge("capture_halted", "1 while our key or user is refused and no jobs are taken: a person is needed.",
		func() float64 { return one(gate.Halted()) })
	m.Gauge("capture_gateway_down", "1 while the gateway gives no useful answers and no jobs are taken.",
		func() float64 { return one(gate.Shut() != "" && !gate.Halted()) })
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// pollEvery is how often the consumer is asked how much work there is.
const pollEvery = 10 * time.Second

// backlog follows what the consumer has left, until ctx ends.
func backlog(ctx context.Context, m *metrics.Metrics, consumer jetstream.Consumer) {
	var ready, delivered atomic.Uint64
	m.Gauge("capture_jobs_ready", "Jobs in the stream that were not delivered yet, for all workers.",
		func() float64 { return float64(ready.Load()) })
	m.Gauge("capture_jobs_delivered", "Jobs delivered and not done, those that wait for a retry included, for all workers.",
		func() float64 { return float64(delivered.Load()) })
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if info, err := consumer.Info(ctx); err == nil {
			ready.Store(info.NumPending)
			delivered.Store(uint64(info.NumAckPending))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
