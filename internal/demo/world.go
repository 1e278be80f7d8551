package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/service"
	"github.com/capture-worker/capture-worker/ledger"
)

// timeScale turns the minutes of the simulator into seconds.
const timeScale = 0.02

// world is a broker, a gateway and a worker on loopback.
type world struct {
	dir     string
	server  *natsserver.Server
	sim     *gatewaytest.Simulator
	http    *http.Server
	served  chan struct{} // closed when the HTTP server has ended
	config  config.Config
	nc      *natsconn.Conn // for publishing jobs and reading the ledger
	js      jetstream.JetStream
	ledger  ledger.Ledger
	service *service.Service
}

// newWorld starts everything but the worker. close ends it.
func newWorld(ctx context.Context, o Options) (w *world, err error) {
	w = &world{config: newConfig()}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := w.startGateway(o); err != nil {
		return w, err
	}
	if w.dir, err = os.MkdirTemp("", "capture-worker-demo-"); err != nil {
		return w, fmt.Errorf("creating the directory of the demo's JetStream server: %w", err)
	}
	if w.server, err = natsserver.Start(natsserver.Options{StoreDir: w.dir}); err != nil {
		return w, err
	}
	w.config.NATS.URL, w.config.NATS.StoreDir = w.server.URL(), w.dir
	if w.nc, err = service.Connect(ctx, w.config, o.Log); err != nil {
		return w, err
	}
	if w.js, err = w.nc.JetStream(); err != nil {
		return w, err
	}
	w.ledger = ledger.NewJetStream(w.js, ledger.Options{Stream: w.config.Ledger.Stream})
	return w, w.startService(ctx, o)
}

// startService makes a worker, which works while its Run does.
func (w *world) startService(ctx context.Context, o Options) error {
	notifications, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for notifications: %w", err)
	}
	w.config.Gateway.NotifyURL = "http://" + notifications.Addr().String() + w.config.Notify.Path
	w.service, err = service.New(ctx, service.Options{
		Config: w.config, Version: o.Version, Log: o.Log, Notifications: notifications, Records: true,
	})
	return err
}

// newConfig returns the default configuration with its times scaled down.
func newConfig() config.Config {
	c := config.Defaults()
	c.Worker.Name = "demo"
	c.Gateway.User, c.Gateway.SecretKey = "016683", "demo-secret-key"
	c.Gateway.Timeout = time.Second
	c.Reconcile.Settle, c.Reconcile.Spacing, c.Reconcile.Final = 1500*time.Millisecond, 200*time.Millisecond, 3*time.Second
	c.Worker.Backoff = config.Backoff{Initial: 50 * time.Millisecond, Max: 500 * time.Millisecond, Inline: 2 * time.Second}
	c.Worker.Retry = config.Retry{Initial: 500 * time.Millisecond, Max: 2 * time.Second}
	c.Worker.ProbeInterval = 200 * time.Millisecond
	c.Worker.ShutdownTimeout = 10 * time.Second
	c.NATS.AckWait = 10 * time.Second
	c.Admin.Listen = ""
	return c
}

func (w *world) startGateway(o Options) error {
	faults, err := gatewaytest.Preset(o.Faults)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for the simulated gateway: %w", err)
	}
	w.sim = gatewaytest.New(gatewaytest.Options{
		User: w.config.Gateway.User, Secret: w.config.Gateway.SecretKey, Seed: o.Seed, Faults: faults,
		Latency: o.Latency, Timing: gatewaytest.DefaultTiming().Scaled(timeScale),
		// The behavior that is unverified for the real gateway differs from seed to
		// seed.
		RepeatedRequestID: pick(o.Seed, gatewaytest.Replay, gatewaytest.Refuse, gatewaytest.ReplayError),
		PartialAmount:     pick(o.Seed/3, gatewaytest.ShowCaptured, gatewaytest.ShowAuthorized),
	})
	w.http = &http.Server{Handler: w.sim, ReadHeaderTimeout: time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	w.served = make(chan struct{})
	go func() {
		defer close(w.served)
		_ = w.http.Serve(listener) // always ends with ErrServerClosed
	}()
	w.config.Gateway.URL = "http://" + listener.Addr().String() + gatewaytest.PaymentsPath
	return nil
}

func pick[T any](n uint64, from ...T) T { return from[n%uint64(len(from))] }

// close ends everything that was started.
func (w *world) close() {
	if w.service != nil {
		w.service.Close()
	}
	if w.nc != nil {
		w.nc.Close()
	}
	if w.server != nil {
		w.server.Shutdown()
	}
	if w.http != nil {
		_ = w.http.Close()
		<-w.served
		w.sim.Close()
	}
	if w.dir != "" {
		_ = os.RemoveAll(w.dir)
	}
}

// publish adds the trades to the gateway and publishes the jobs.
func (w *world) publish(ctx context.Context, orders []order) error {
	round := func(n int) error {
		for _, o := range orders {
			if len(o.jobs) <= n {
				continue
			}
			body, err := json.Marshal(o.jobs[n])
			if err != nil {
				return err
			}
			if _, err := w.js.Publish(ctx, "capture.jobs.shipped", body); err != nil {
				return fmt.Errorf("publishing a shipped event: %w", err)
			}
		}
		return nil
	}
	for _, o := range orders {
		if o.known {
			if err := w.sim.AddTrades(o.trade); err != nil {
				return err
			}
		}
	}
	return errors.Join(round(0), round(1))
}

// work runs the worker until every job is done, then stops it.
func (w *world) work(ctx context.Context, jobs int, progress func(int) (step, finish func())) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- w.service.Run(working) }()
	err := w.waitDone(ctx, jobs, progress)
	stop()
	return errors.Join(err, <-ended)
}

// waitDone waits until the consumer has no job left, neither pending nor
// delivered, and reports progress.
func (w *world) waitDone(ctx context.Context, jobs int, progress func(int) (step, finish func())) error {
	consumer, err := w.js.Consumer(ctx, w.config.Jobs.Stream, w.config.Jobs.Consumer)
	if err != nil {
		return err
	}
	step, finish := func() {}, func() {}
	if progress != nil {
		step, finish = progress(jobs)
	}
	defer finish()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for shown := 0; ; {
		info, err := consumer.Info(ctx)
		if err != nil {
			return fmt.Errorf("asking how many jobs are left: %w", errors.Join(err, context.Cause(ctx)))
		}
		left := int(info.NumPending) + info.NumAckPending
		for ; shown < jobs-left; shown++ {
			step()
		}
		// The broker counts a message as pending a moment after it has taken it.
		if left == 0 && info.Delivered.Consumer >= uint64(jobs) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d jobs are not done: %w", left, context.Cause(ctx))
		}
	}
}

func (w *world) deadLetters(ctx context.Context) (int, error) {
	stream, err := w.js.Stream(ctx, w.config.Jobs.DLQStream)
	if err != nil {
		return 0, fmt.Errorf("counting dead letters: %w", err)
	}
	return int(stream.CachedInfo().State.Msgs), nil
}

// audit checks every trade's ledger against the rules and the simulator.
func (w *world) audit(ctx context.Context, orders []order) (audit.Report, error) {
	collector := audit.NewCollector(service.Policy(w.config), 20)
	for _, o := range orders {
		trade, err := w.ledger.LoadLatest(ctx, o.trade.TradeID)
		if err != nil {
			return audit.Report{}, err
		}
		truth := truthOf(w.sim, o)
		// If there are several jobs, any of them may have been captured.
		job := &o.jobs[0]
		if len(o.jobs) > 1 {
			job = nil
		}
		collector.Add(o.trade.TradeID, trade.Events, &truth, job)
	}
	return collector.Report(), w.checkTrades(ctx, len(orders))
}

// checkTrades returns an error unless the ledger holds exactly the trades of the
// orders.
func (w *world) checkTrades(ctx context.Context, want int) error {
	n := 0
	for _, err := range w.ledger.Trades(ctx, ledger.Filter{}) {
		if err != nil {
			return err
		}
		n++
	}
	if n != want {
		return fmt.Errorf("the ledger holds %d trades, want %d", n, want)
	}
	return nil
}

func truthOf(sim *gatewaytest.Simulator, o order) audit.Truth {
	truth, ok := sim.Truth(o.trade.TradeID)
	if !ok {
		return audit.Truth{TradeID: o.trade.TradeID}
	}
	t := audit.Truth{TradeID: truth.TradeID, State: truth.Now}
	for _, effect := range truth.Captures {
		t.Captures = append(t.Captures, audit.Capture{Amount: effect.Amount, RequestID: effect.RequestID, At: effect.At})
	}
	return t
}
