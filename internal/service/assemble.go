package service

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
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
	"github.com/capture-worker/capture-worker/internal/passedover"
	"github.com/capture-worker/capture-worker/internal/tracing"
	"github.com/capture-worker/capture-worker/internal/withdrawals"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
	"github.com/capture-worker/capture-worker/worker"
)

// leaseSlack is the part of a lease that is left for appends and for clocks that
// differ between workers.
const leaseSlack = 5 * time.Second

// assemble builds the worker on the service's connection.
func (s *Service) assemble(ctx context.Context, traces *tracing.Tracing) (err error) {
	c, log := s.c, s.log
	if s.js, err = s.nc.JetStream(); err != nil {
		return err
	}
	ready, err := prepareBroker(ctx, c, s.js, log)
	if err != nil {
		return err
	}
	s.consumers = ready.consumers
	if s.client, err = NewGateway(c, s.version); err != nil {
		return err
	}
	decoder, err := capture.NewDecoder(c.JobMapping())
	if err != nil {
		return err
	}
	s.metrics = metrics.New(s.version, time.Now)
	s.appends = &appendHealth{log: log, now: time.Now, explain: func(err error) error { return natsconn.Explain(s.nc.Conn, err) }}
	s.metrics.Terms(Policy(c).Window, c.Worker.AttentionAfter)
	s.metrics.Conditions(append(slices.Clip(c.Jobs.Match), c.Withdrawals.Match...))
	s.passedOver = passedover.New(ready.control.AddPassedOver, log)
	stored := ledger.NewJetStream(s.js, ledger.Options{Stream: c.Ledger.Stream, Source: c.Ledger.Source, Batches: ledger.Batches(c.Ledger.Batches), Log: log})
	cases := stored.Cases(c.Ledger.Cases)
	s.ledger, s.notified = s.metrics.Ledger(traces.Ledger(stored), s.appends.observe), cases.TradesSince
	calls := s.metrics.Gateway(traces.Gateway(s.client, c.Gateway.URL))
	s.behind = NewLedgerGuard(c, s.js, stored, decoder, ready.control, log)
	s.behind.Start(ctx)
	limiter := worker.NewGatewayLimiter(worker.GatewayLimiterConfig{
		Concurrency: c.Worker.Concurrency, Rate: c.Gateway.Rate, ProbeEvery: c.Worker.ProbeInterval,
		// The rest of the lease beside a whole call.
		SlotWait: c.Gateway.Timeout + leaseSlack,
		Query:    calls.Query, Log: log,
		Intake: newIntake(c, stored, calls.Query, ready, log),
	})
	recorder := NewRecorder(c, s.ledger, log)
	if s.withdrawals, s.withdrawn, err = newWithdrawals(ctx, c, s.js, stored, recorder, log); err != nil {
		return err
	}
	s.withdrawals.PassedOver = s.withdrawalPassedOver
	gaugeWithdrawals(s.metrics, s.withdrawals.Counts, &s.withdrawalsWait)
	deps := laneDeps{
		c: c, js: s.js, decoder: decoder, recorder: recorder, gateway: calls, limiter: limiter, counts: s.metrics, traces: traces, log: log,
		behind: s.behind, withdrawn: s.withdrawn, passedOver: s.passedOver,
	}
	s.pool = worker.Pool{Limiter: limiter}
	lanes := c.LaneList()
	for _, lane := range lanes {
		deps.weights += lane.Weight
	}
	for i, lane := range lanes {
		s.pool.Workers = append(s.pool.Workers, deps.worker(lane, s.consumers[i]))
	}
	gauge(s.metrics, s.pool)
	gaugeIntake(s.metrics, limiter, s.behind)
	s.gauges = newBacklogGauges(deadletter.Store{JS: s.js, Stream: c.Jobs.DLQStream}, cases.Follow(), log)
	s.gauges.register(s.metrics)
	s.archive = &archiveGauge{js: s.js, control: ready.control, stream: c.Ledger.Stream}
	s.archive.register(s.metrics)
	s.keys = newKeyring(c.Gateway, s.client, log)
	s.certificates = newCertificates(c.Gateway, s.client, log)
	s.notices, err = notificationConfig(c, recorder, calls.Query, limiter, s.keys, log)
	s.notices.Tracer = traces.Notices(c.Notify.Path)
	return err
}

// laneDeps are the dependencies that the workers of all lanes share.
type laneDeps struct {
	c        config.Config
	js       jetstream.JetStream
	decoder  *capture.Decoder
	recorder *reconcile.Recorder
	gateway  worker.Gateway
	limiter  *worker.GatewayLimiter
	counts   *metrics.Metrics
	traces   *tracing.Tracing
	log      *slog.Logger
	weights  int // shared by all lanes
	behind   *controls.LedgerGuard
	// withdrawn knows the withdrawn orders.
	withdrawn *withdrawals.Orders

	passedOver *passedover.Watch
}

// observer returns the function that is called with the disposition of each delivery.
// It does not keep laneDeps: a copy of the configuration on the stack of every job
// would double the stack.
func observer(counts *metrics.Metrics, passedOver *passedover.Watch) func(worker.Disposition, time.Duration) {
	return func(d worker.Disposition, took time.Duration) {
		counts.Disposed(d, took)
		passedOver.Observe(d)
	}
}

// worker builds the worker of one lane.
func (p laneDeps) worker(lane config.Lane, consumer jetstream.Consumer) *worker.Worker {
	hands := worker.MaxInFlightFor(p.c.Worker.Concurrency)
	return worker.New(worker.Config{
		Consumer: consumer, Limiter: p.limiter, DeadLetters: deadletter.Store{JS: p.js},
		Processor: &worker.Processor{
			Jobs: p.decoder, Recorder: p.recorder, Gateway: p.gateway, Limiter: p.limiter.Lane(lane.Name, lane.Weight),
			// As many jobs may wait as are being processed.
			Delayer: worker.NewDelayPool(hands, time.Now), Inline: p.c.Worker.Backoff.Inline,
			Lease: 2*p.c.Gateway.Timeout + leaseSlack, Rest: p.c.Worker.ProbeInterval,
			NotifyURL: p.c.Gateway.NotifyURL, NewRequestID: gateway.NewRequestID, Log: p.log,
			Intake: p.limiter.Guard(), AskSince: p.behind.Since, Withdrawn: p.withdrawn.Withdrawn,
		},
		AckWait: consumer.CachedInfo().Config.AckWait, MaxInFlight: hands,
		Share:           float64(lane.Weight) / float64(p.weights),
		ShutdownTimeout: p.c.Worker.ShutdownTimeout, Log: p.log, Observe: observer(p.counts, p.passedOver),
		Trace: p.traces.Jobs(p.c.Jobs.Stream, consumer.CachedInfo().Name),
	})
}

// NewGateway returns a client of the configured gateway.
func NewGateway(c config.Config, version string) (*gateway.Client, error) {
	t, _, err := gatewayTLS(c.Gateway)
	if err != nil {
		return nil, fmt.Errorf("the gateway's certificates: %w", err)
	}
	return gateway.New(gateway.Config{
		TLS: t,
		URL: c.Gateway.URL, User: c.Gateway.User, SecretKey: c.Gateway.SecretKey,
		Timeout: c.Gateway.Timeout, Concurrency: c.Worker.Concurrency,
		AllowPlainHTTP: c.Gateway.AllowPlainHTTP, UserAgent: "capture-worker/" + version,
	})
}

// NewRecorder returns a recorder of evidence and outcomes in a ledger, with the
// configured policy and schedule.
func NewRecorder(c config.Config, l ledger.Ledger, log *slog.Logger) *reconcile.Recorder {
	return &reconcile.Recorder{
		Ledger: l, Policy: Policy(c), Worker: c.Worker.Name, Now: time.Now, NewID: nuid.Next, Log: log,
		OmitDescription: c.Ledger.Description == config.DescriptionOmit,
		Schedule: reconcile.Schedule{
			QuickInitial: c.Worker.Backoff.Initial, QuickMax: c.Worker.Backoff.Max, QuickTotal: c.Worker.Backoff.Inline,
			SlowInitial: c.Worker.Retry.Initial, SlowMax: c.Worker.Retry.Max,
		},
	}
}

// Policy returns the configured policy of decisions.
func Policy(c config.Config) capture.Policy {
	return capture.Policy{
		Settle: c.Reconcile.Settle, Agree: c.Reconcile.Agree, Spacing: c.Reconcile.Spacing,
		GiveUpAfter: c.Worker.GiveUpAfter, Window: c.Gateway.Window,
		Final: c.Reconcile.Final, AnswersFor: c.Reconcile.Final,
	}.OrDefault()
}
