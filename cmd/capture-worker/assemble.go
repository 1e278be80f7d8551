package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/metrics"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/notify"
	"github.com/capture-worker/capture-worker/reconcile"
	"github.com/capture-worker/capture-worker/worker"
)

// leaseSlack is what a lease leaves beside the calls for appends and clocks
// that differ between workers.
const leaseSlack = 5 * time.Second

// plant is a worker with all that it consists of.
type plant struct {
	worker   worker.Crew
	client   *gateway.Client
	keys     *keyring
	ledger   ledger.Ledger
	consumer jetstream.Consumer
	metrics  *metrics.Metrics
	notices  notify.Config
}

// assemble builds a worker on a connection. Missing streams and the consumer
// are created; what is found is never altered, and what does not fit is said.
func assemble(ctx context.Context, c config.Config, nc *natsconn.Conn, log *slog.Logger) (*plant, error) {
	js, err := nc.JetStream()
	if err != nil {
		return nil, err
	}
	consumer, err := prepareBroker(ctx, c, js, log)
	if err != nil {
		return nil, err
	}
	client, err := newGatewayClient(c)
	if err != nil {
		return nil, err
	}
	decoder, err := capture.NewDecoder(capture.Mapping{Fields: c.Jobs.Fields, Match: c.Jobs.Match})
	if err != nil {
		return nil, err
	}
	counts := metrics.New(readBuild().Version, time.Now)
	book := counts.Ledger(ledger.NewJetStream(js, ledger.Options{Stream: c.Ledger.Stream}))
	calls := counts.Gateway(client)
	gate := worker.NewGate(worker.GateConfig{
		Concurrency: c.Worker.Concurrency, Rate: c.Gateway.Rate, ProbeEvery: c.Worker.ProbeInterval,
		Query: calls.Query, Log: log,
	})
	hands := worker.HandsFor(c.Worker.Concurrency)
	// Half of the hands may wait; the others stay free for jobs that can go on.
	room := worker.NewRoom(hands/2, time.Now)
	w := worker.New(worker.Config{
		Consumer: consumer, Gate: gate, DeadLetters: worker.DeadLetters{JS: js},
		Processor: &worker.Processor{
			Jobs: decoder, Clerk: newClerk(c, book, log), Gateway: calls, Gate: gate,
			Waiter: room, Inline: c.Worker.Backoff.Inline,
			Lease: 2*c.Gateway.Timeout + leaseSlack, NotifyURL: c.Gateway.NotifyURL,
			NewRequestID: rand.Text, Log: log,
		},
		AckWait: consumer.CachedInfo().Config.AckWait, Hands: hands,
		ShutdownTimeout: c.Worker.ShutdownTimeout, Log: log, Observe: counts.Disposed,
	})
	crew := worker.Crew{Gate: gate, Workers: []*worker.Worker{w}}
	gauge(counts, crew, room)
	keys := newKeyring(c.Gateway, client, log)
	notices, err := noticesOf(c, newClerk(c, book, log), calls.Query, gate, keys, log)
	return &plant{worker: crew, client: client, keys: keys, ledger: book, consumer: consumer, metrics: counts, notices: notices}, err
}

func newGatewayClient(c config.Config) (*gateway.Client, error) {
	return gateway.New(gateway.Config{
		URL: c.Gateway.URL, User: c.Gateway.User, SecretKey: c.Gateway.SecretKey,
		Timeout: c.Gateway.Timeout, Concurrency: c.Worker.Concurrency,
		AllowPlainHTTP: c.Gateway.AllowPlainHTTP, UserAgent: "capture-worker/" + readBuild().Version,
	})
}

func newClerk(c config.Config, book ledger.Ledger, log *slog.Logger) *reconcile.Clerk {
	return &reconcile.Clerk{
		Ledger: book, Policy: policyOf(c), Worker: c.Worker.Name, Now: time.Now, NewID: nuid.Next, Log: log,
		Schedule: reconcile.Schedule{
			QuickInitial: c.Worker.Backoff.Initial, QuickMax: c.Worker.Backoff.Max, QuickTotal: c.Worker.Backoff.Inline,
			SlowInitial: c.Worker.Retry.Initial, SlowMax: c.Worker.Retry.Max,
		},
	}
}

func policyOf(c config.Config) capture.Policy {
	return capture.Policy{
		Settle: c.Reconcile.Settle, Agree: c.Reconcile.Agree, Spacing: c.Reconcile.Spacing,
		GiveUpAfter: c.Worker.GiveUpAfter,
	}
}

// prepareBroker finds or creates what the worker needs of JetStream, and says
// what of it does not fit.
func prepareBroker(ctx context.Context, c config.Config, js jetstream.JetStream, log *slog.Logger) (jetstream.Consumer, error) {
	findings, err := ledger.EnsureStream(ctx, js, ledger.StreamConfig{
		Stream: c.Ledger.Stream, Replicas: c.NATS.Replicas, MaxAge: c.Ledger.MaxAge,
	})
	if err != nil {
		return nil, err
	}
	streams := streamsOf(c)
	consumer, err := worker.EnsureStreams(ctx, js, streams)
	if err != nil {
		return nil, err
	}
	problems, err := worker.CheckLimits(ctx, js, streams, worker.Limits{
		CallTimeout: c.Gateway.Timeout, Hands: worker.HandsFor(c.Worker.Concurrency),
		Horizon: max(capture.AuthorizationWindow, c.Worker.GiveUpAfter),
	})
	if err != nil {
		return nil, err
	}
	for _, f := range findings {
		problems = append(problems, worker.Problem{Fatal: f.Unfit, What: f.Text})
	}
	return consumer, report(problems, log)
}

func streamsOf(c config.Config) worker.StreamsConfig {
	return worker.StreamsConfig{
		Jobs: c.Jobs.Stream, Subjects: c.Jobs.Subjects, Consumer: c.Jobs.Consumer, DLQ: c.Jobs.DLQStream,
		Replicas: c.NATS.Replicas, AckWait: c.NATS.AckWait, MaxAckPending: c.NATS.MaxAckPending,
	}
}

// report logs what does not fit, and refuses to go on where jobs would be lost.
func report(problems []worker.Problem, log *slog.Logger) error {
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
