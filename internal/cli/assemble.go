package cli

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/metrics"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/tracing"
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
	js        jetstream.JetStream
	crew      worker.Pool
	client    *gateway.Client
	keys      *keyring
	ledger    ledger.Ledger
	consumers []jetstream.Consumer
	metrics   *metrics.Metrics
	people    *backOffice
	notices   notify.Config
	notified  notify.Source // trades with notifications in the ledger
	behind    *controls.LedgerGuard
}

// assemble builds a worker on a connection. Missing streams and the consumer
// are created; what is found is never altered, and what does not fit is said.
func assemble(ctx context.Context, c config.Config, nc *natsconn.Conn, traces *tracing.Tracing, log *slog.Logger) (*plant, error) {
	js, err := nc.JetStream()
	if err != nil {
		return nil, err
	}
	ready, err := prepareBroker(ctx, c, js, log)
	if err != nil {
		return nil, err
	}
	client, err := newGatewayClient(c)
	if err != nil {
		return nil, err
	}
	decoder, err := capture.NewDecoder(c.JobMapping())
	if err != nil {
		return nil, err
	}
	counts := metrics.New(readBuild().Version, time.Now)
	counts.Terms(policyOf(c).OrDefault().Window, c.Worker.AttentionAfter)
	stored := ledger.NewJetStream(js, ledger.Options{Stream: c.Ledger.Stream})
	book := counts.Ledger(traces.Ledger(stored))
	calls := counts.Gateway(traces.Gateway(client, c.Gateway.URL))
	behind := newLedgerGuard(c, js, stored, decoder, ready.control, log)
	behind.Start(ctx)
	gate := worker.NewGatewayLimiter(worker.GatewayLimiterConfig{
		Concurrency: c.Worker.Concurrency, Rate: c.Gateway.Rate, ProbeEvery: c.Worker.ProbeInterval,
		// What the lease leaves beside a whole call.
		SlotWait: c.Gateway.Timeout + leaseSlack,
		Query:    calls.Query, Log: log,
		Intake: newIntake(c, stored, calls.Query, ready, log),
	})
	parts := laneParts{c: c, js: js, decoder: decoder, recorder: newRecorder(c, book, log), gateway: calls, gate: gate, counts: counts, traces: traces, log: log, behind: behind}
	crew := worker.Pool{Limiter: gate}
	lanes := c.LaneList()
	for _, lane := range lanes {
		parts.weights += lane.Weight
	}
	for i, lane := range lanes {
		crew.Workers = append(crew.Workers, parts.worker(lane, ready.consumers[i]))
	}
	gauge(counts, crew)
	gaugeIntake(counts, gate, behind)
	people := newBackOffice(deadletter.Store{JS: js, Stream: c.Jobs.DLQStream}, stored.FollowParked(), log)
	people.gauge(counts)
	keys := newKeyring(c.Gateway, client, log)
	notices, err := noticesOf(c, parts.recorder, calls.Query, gate, keys, log)
	notices.Tracer = traces.Notices(c.Notify.Path)
	return &plant{js: js, crew: crew, client: client, keys: keys, ledger: book, consumers: ready.consumers, metrics: counts, people: people, notices: notices, notified: stored.TradesSince, behind: behind}, err
}

// laneParts is what the workers of all lanes share.
type laneParts struct {
	c        config.Config
	js       jetstream.JetStream
	decoder  *capture.Decoder
	recorder *reconcile.Recorder
	gateway  worker.Gateway
	gate     *worker.GatewayLimiter
	counts   *metrics.Metrics
	traces   *tracing.Tracing
	log      *slog.Logger
	weights  int // of all lanes together
	behind   *controls.LedgerGuard
}

// worker builds the worker of one lane.
func (p laneParts) worker(lane config.Lane, consumer jetstream.Consumer) *worker.Worker {
	hands := worker.MaxInFlightFor(p.c.Worker.Concurrency)
	return worker.New(worker.Config{
		Consumer: consumer, Limiter: p.gate, DeadLetters: deadletter.Store{JS: p.js},
		Processor: &worker.Processor{
			Jobs: p.decoder, Recorder: p.recorder, Gateway: p.gateway, Limiter: p.gate.Lane(lane.Name, lane.Weight),
			// As many jobs may wait as are worked on.
			Delayer: worker.NewDelayPool(hands, time.Now), Inline: p.c.Worker.Backoff.Inline,
			Lease: 2*p.c.Gateway.Timeout + leaseSlack, Rest: p.c.Worker.ProbeInterval,
			NotifyURL: p.c.Gateway.NotifyURL, NewRequestID: gateway.NewRequestID, Log: p.log,
			Intake: p.gate.Guard(), AskSince: p.behind.Since,
		},
		AckWait: consumer.CachedInfo().Config.AckWait, MaxInFlight: hands,
		Share:           float64(lane.Weight) / float64(p.weights),
		ShutdownTimeout: p.c.Worker.ShutdownTimeout, Log: p.log, Observe: p.counts.Disposed,
		Trace: p.traces.Jobs(p.c.Jobs.Stream, consumer.CachedInfo().Name),
	})
}

func newGatewayClient(c config.Config) (*gateway.Client, error) {
	return gateway.New(gateway.Config{
		URL: c.Gateway.URL, User: c.Gateway.User, SecretKey: c.Gateway.SecretKey,
		Timeout: c.Gateway.Timeout, Concurrency: c.Worker.Concurrency,
		AllowPlainHTTP: c.Gateway.AllowPlainHTTP, UserAgent: "capture-worker/" + readBuild().Version,
	})
}

func newRecorder(c config.Config, book ledger.Ledger, log *slog.Logger) *reconcile.Recorder {
	return &reconcile.Recorder{
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
		GiveUpAfter: c.Worker.GiveUpAfter, Window: c.Gateway.Window,
		Final: c.Reconcile.Final, AnswersFor: c.Reconcile.Final,
	}.OrDefault()
}
