package service

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/preflight"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/worker"
)

// prepareBroker finds or creates the streams and consumers, and logs problems with
// those that it finds. It waits a while for a cluster that has no leader.
func prepareBroker(ctx context.Context, c config.Config, js jetstream.JetStream, log *slog.Logger) (ready broker, err error) {
	var problems []finding.Finding
	mapping := c.JobMapping()
	err = natsconn.RetryUntilReady(ctx, log, func(ctx context.Context) (err error) {
		ready, problems, err = findOrCreate(ctx, c, js, &mapping, log)
		return natsconn.Explain(js.Conn(), err)
	})
	if err != nil {
		return broker{}, err
	}
	return ready, report(problems, log)
}

// broker holds the consumers and the control bucket of a worker.
type broker struct {
	consumers []jetstream.Consumer
	control   *controls.Store
}

// CreateStreams creates missing streams and consumers like run at its start: the
// ledger, the jobs with their consumers, the dead letters and the control bucket.
// It alters no existing ones, and like run it creates no ledger if jobs were
// already delivered.
func CreateStreams(ctx context.Context, c config.Config, js jetstream.JetStream, log *slog.Logger) error {
	// A publisher need not know how workers decode jobs.
	_, _, err := findOrCreate(ctx, c, js, nil, log)
	return err
}

func findOrCreate(ctx context.Context, c config.Config, js jetstream.JetStream, mapping *capture.Mapping, log *slog.Logger) (ready broker, problems []finding.Finding, err error) {
	if err := ledgerLost(ctx, c, js); err != nil {
		return ready, nil, err
	}
	book, streams := ledgerStream(c), Streams(c)
	book.Log, streams.Log, streams.Mapping = log, log, mapping
	findings, err := ledger.EnsureStream(ctx, js, book)
	if err != nil {
		return ready, nil, preflight.ExplainOverlap(ctx, c, js, err)
	}
	cases, err := ledger.EnsureCases(ctx, js, book)
	if err != nil {
		return ready, nil, err
	}
	findings = append(findings, cases...)
	if ready.consumers, err = jobstream.Ensure(ctx, js, streams); err != nil {
		return ready, nil, preflight.ExplainOverlap(ctx, c, js, err)
	}
	var unfit []finding.Finding
	if ready.control, unfit, err = controls.Ensure(ctx, js, c.Ledger.Stream, c.NATS.Replicas, log); err != nil {
		return ready, nil, err
	}
	problems, err = jobstream.Check(ctx, js, streams, Limits(c))
	return ready, append(append(problems, findings...), unfit...), err
}

func ledgerStream(c config.Config) ledger.StreamConfig {
	return ledger.StreamConfig{
		Stream: c.Ledger.Stream, Cases: c.Ledger.Cases, Replicas: c.NATS.Replicas,
		MaxAge: cmp.Or(c.Ledger.MaxAge, ledger.Forever), // 0 means the default there
	}
}

// Streams returns the streams and consumers that the worker needs.
func Streams(c config.Config) jobstream.Config {
	s := jobstream.Config{
		Jobs: c.Jobs.Stream, Subjects: c.Jobs.Subjects, After: c.Jobs.Consumer, DLQ: c.Jobs.DLQStream, Acts: c.Jobs.ActsStream,
		Withdrawals: jobstream.Withdrawals{Stream: c.Withdrawals.Stream, Subjects: c.Withdrawals.Subjects, Consumer: c.WithdrawalConsumer()},
		Replicas:    c.NATS.Replicas, AckWait: c.NATS.AckWait, MaxAckPending: c.NATS.MaxAckPending,
	}
	for _, lane := range c.LaneList() {
		s.Consumers = append(s.Consumers, jobstream.ConsumerConfig{Name: lane.Consumer, Subjects: lane.Subjects})
	}
	return s
}

// Limits returns the limits that the streams and consumers have to meet.
func Limits(c config.Config) jobstream.Limits {
	return jobstream.Limits{
		CallTimeout: c.Gateway.Timeout, MaxInFlight: 2 * worker.MaxInFlightFor(c.Worker.Concurrency), // half of them waiting
		Horizon: c.Gateway.Window + c.Worker.GiveUpAfter,
	}
}

// report logs the problems. It returns an error if jobs would be lost.
func report(problems []finding.Finding, log *slog.Logger) error {
	fatal := 0
	for _, p := range problems {
		if p.Severity == finding.Error {
			fatal++
			log.Error("JetStream configuration error", "problem", p.String())
		} else {
			log.Warn("JetStream configuration warning", "problem", p.String())
		}
	}
	if fatal > 0 {
		return fmt.Errorf("the JetStream configuration would lose jobs or stall: %d problems, see the log; nothing was changed", fatal)
	}
	return nil
}
