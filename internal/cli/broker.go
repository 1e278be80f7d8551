package cli

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/checkup"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/worker"
)

// prepareBroker finds or creates what the worker needs of JetStream, and says
// what of it does not fit. It waits a while for a cluster that has no leader.
func prepareBroker(ctx context.Context, c config.Config, js jetstream.JetStream, log *slog.Logger) (ready broker, err error) {
	var problems []jobstream.Problem
	err = natsconn.RetryUntilReady(ctx, log, func(ctx context.Context) (err error) {
		ready, problems, err = findOrCreate(ctx, c, js, log)
		return natsconn.Explain(js.Conn(), err)
	})
	if err != nil {
		return broker{}, err
	}
	return ready, report(problems, log)
}

// broker is what a worker needs of JetStream.
type broker struct {
	consumers []jetstream.Consumer
	control   *controls.Store
}

func findOrCreate(ctx context.Context, c config.Config, js jetstream.JetStream, log *slog.Logger) (ready broker, problems []jobstream.Problem, err error) {
	if err := ledgerLost(ctx, c, js); err != nil {
		return ready, nil, err
	}
	book, streams := ledgerStream(c), streamsOf(c)
	book.Log, streams.Log = log, log
	findings, err := ledger.EnsureStream(ctx, js, book)
	if err != nil {
		return ready, nil, occupied(ctx, c, js, err)
	}
	if ready.consumers, err = jobstream.Ensure(ctx, js, streams); err != nil {
		return ready, nil, occupied(ctx, c, js, err)
	}
	var unfit []jobstream.Problem
	if ready.control, unfit, err = controls.Ensure(ctx, js, c.Ledger.Stream, c.NATS.Replicas, log); err != nil {
		return ready, nil, err
	}
	problems, err = jobstream.Check(ctx, js, streams, limitsOf(c))
	return ready, append(append(problems, misfits(findings)...), unfit...), err
}

// occupied says of a stream that cannot be made for another has its subjects
// which one that is: mostly the name of ours is mistyped.
func occupied(ctx context.Context, c config.Config, js jetstream.JetStream, err error) error {
	stream, named := streamIn(c, err)
	if !named || !natsconn.IsSubjectOverlap(err) {
		return err
	}
	if err := ownedBy(ctx, stream, js); err != nil {
		return err
	}
	return fmt.Errorf("stream %s (%s) cannot be made: another one takes one of its subjects (`nats stream ls --subject '%s'` names it); correct %s, if that one is meant: %w",
		stream.Name, stream.Key, stream.Subjects[0], stream.Key, err)
}

// ownedBy is an error where another stream is known to have a subject of the
// one that is missing.
func ownedBy(ctx context.Context, missing checkup.Stream, js jetstream.JetStream) error {
	why, do := missing.Occupied(ctx, js)
	if why == "" {
		return nil
	}
	return fmt.Errorf("stream %s (%s) cannot be made: %s; %s", missing.Name, missing.Key, why, do)
}

func ledgerStream(c config.Config) ledger.StreamConfig {
	return ledger.StreamConfig{
		Stream: c.Ledger.Stream, Replicas: c.NATS.Replicas,
		MaxAge: cmp.Or(c.Ledger.MaxAge, ledger.Forever), // 0 is for ever there
	}
}

func misfits(findings []ledger.Finding) []jobstream.Problem {
	var problems []jobstream.Problem
	for _, f := range findings {
		problems = append(problems, jobstream.Problem{Fatal: f.Unfit, What: f.Text})
	}
	return problems
}

// streamsOf is what the worker needs of the broker.
func streamsOf(c config.Config) jobstream.Config {
	s := jobstream.Config{
		Jobs: c.Jobs.Stream, Subjects: c.Jobs.Subjects, After: c.Jobs.Consumer, DLQ: c.Jobs.DLQStream,
		Replicas: c.NATS.Replicas, AckWait: c.NATS.AckWait, MaxAckPending: c.NATS.MaxAckPending,
	}
	for _, lane := range c.LaneList() {
		s.Consumers = append(s.Consumers, jobstream.ConsumerConfig{Name: lane.Consumer, Subjects: lane.Subjects})
	}
	return s
}

// limitsOf is what the broker has to fit.
func limitsOf(c config.Config) jobstream.Limits {
	return jobstream.Limits{
		CallTimeout: c.Gateway.Timeout, MaxInFlight: 2 * worker.MaxInFlightFor(c.Worker.Concurrency), // half of them waiting
		Horizon: c.Gateway.Window + c.Worker.GiveUpAfter,
	}
}

// report logs what does not fit, and refuses to go on where jobs would be lost.
func report(problems []jobstream.Problem, log *slog.Logger) error {
	fatal := 0
	for _, p := range problems {
		if p.Fatal {
			fatal++
			log.Error("JetStream is not set up for this", "problem", p.String())
		} else {
			log.Warn("JetStream could be set up better", "problem", p.String())
		}
	}
	if fatal > 0 {
		return fmt.Errorf("JetStream as it is would lose jobs or stall: %d problems, logged above; nothing was changed", fatal)
	}
	return nil
}
