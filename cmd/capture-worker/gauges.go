package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/metrics"
	"github.com/capture-worker/capture-worker/worker"
)

// gauge adds the series that are asked of the workers when they are read.
func gauge(m *metrics.Metrics, crew worker.Crew) {
	gate := crew.Gate
	m.Gauge("capture_jobs_in_hand", "Jobs in hand or being pulled.", func() float64 { return float64(crew.InHand()) })
	m.Gauge("capture_jobs_waiting_inside", "Jobs in hand that wait for their next try.", func() float64 { return float64(crew.Waiting()) })
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

// backlog follows what the consumer of a lane has left, until ctx ends.
func backlog(ctx context.Context, m *metrics.Metrics, lane string, consumer jetstream.Consumer) {
	m.Backlog(lane, 0, 0)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if info, err := consumer.Info(ctx); err == nil {
			m.Backlog(lane, float64(info.NumPending), float64(info.NumAckPending))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
