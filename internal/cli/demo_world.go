package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	"github.com/capture-worker/capture-worker/internal/tracing"
	"github.com/capture-worker/capture-worker/ledger"
)

// demoScale makes seconds of the simulator's minutes.
const demoScale = 0.02

// demoWorld is a broker, a gateway and a worker on loopback.
type demoWorld struct {
	dir    string
	server *natsserver.Server
	sim    *gatewaytest.Simulator
	http   *http.Server
	served chan struct{} // closed when the HTTP server has ended
	config config.Config
	nc     *natsconn.Conn
	js     jetstream.JetStream
	plant  *plant
	// notices is where the gateway reports changes to the worker.
	notices net.Listener
	// stopRecords ends what follows the ledger.
	stopRecords func()
}

// newDemoWorld starts everything but the worker. close undoes it.
func newDemoWorld(ctx context.Context, o demoOptions, log *slog.Logger) (w *demoWorld, err error) {
	w = &demoWorld{config: demoConfig()}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := w.startGateway(o); err != nil {
		return w, err
	}
	if w.dir, err = os.MkdirTemp("", "capture-worker-demo-"); err != nil {
		return w, fmt.Errorf("making a folder for the demo's JetStream: %w", err)
	}
	if w.server, err = natsserver.Start(natsserver.Options{StoreDir: w.dir}); err != nil {
		return w, err
	}
	if w.notices, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return w, fmt.Errorf("listening for notifications: %w", err)
	}
	w.config.Gateway.NotifyURL = "http://" + w.notices.Addr().String() + w.config.Notify.Path
	w.config.NATS.URL = w.server.URL()
	if w.nc, err = connect(ctx, w.config, log); err != nil {
		return w, err
	}
	if w.js, err = w.nc.JetStream(); err != nil {
		return w, err
	}
	if w.plant, err = assemble(ctx, w.config, w.nc, &tracing.Tracing{}, log); err != nil {
		return w, err
	}
	w.config.NATS.StoreDir = w.dir
	w.stopRecords = embedRecords(ctx, w.config, w.plant.metrics, log)
	return w, nil
}

// demoConfig is the default configuration with its times scaled down.
func demoConfig() config.Config {
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
	return c
}

func (w *demoWorld) startGateway(o demoOptions) error {
	faults, err := gatewaytest.Preset(o.faults)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for the simulated gateway: %w", err)
	}
	w.sim = gatewaytest.New(gatewaytest.Options{
		User: w.config.Gateway.User, Secret: w.config.Gateway.SecretKey, Seed: o.seed, Faults: faults,
		Latency: o.latency, Timing: gatewaytest.DefaultTiming().Scaled(demoScale),
		// What is unverified of the real gateway differs from seed to seed.
		RepeatedRequestID: pick(o.seed, gatewaytest.Replay, gatewaytest.Refuse, gatewaytest.ReplayError),
		PartialAmount:     pick(o.seed/3, gatewaytest.ShowCaptured, gatewaytest.ShowAuthorized),
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
func (w *demoWorld) close() {
	if w.notices != nil {
		_ = w.notices.Close() // has mostly ended with the worker
	}
	if w.stopRecords != nil {
		w.stopRecords()
	}
	if w.plant != nil {
		w.plant.client.Close()
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

// publish tells the gateway of its trades and the worker of its jobs.
func (w *demoWorld) publish(ctx context.Context, orders []demoOrder) error {
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
func (w *demoWorld) work(ctx context.Context, orders []demoOrder, stderr io.Writer) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- w.plant.work(working, w.notices, w.config.Notify.Path) }()
	err := w.waitDone(ctx, messages(orders), stderr)
	stop()
	return errors.Join(err, <-ended)
}

// waitDone waits until the consumer has no job left, neither waiting nor
// delivered, and shows how far it is.
func (w *demoWorld) waitDone(ctx context.Context, jobs int, stderr io.Writer) error {
	consumer, err := w.js.Consumer(ctx, w.config.Jobs.Stream, w.config.Jobs.Consumer)
	if err != nil {
		return err
	}
	step, finish := newProgress(stderr, jobs, "capturing")
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
			return fmt.Errorf("not done: %s: %w", counted(left, "job"), context.Cause(ctx))
		}
	}
}

func (w *demoWorld) deadLetters(ctx context.Context) (int, error) {
	stream, err := w.js.Stream(ctx, w.config.Jobs.DLQStream)
	if err != nil {
		return 0, fmt.Errorf("counting dead letters: %w", err)
	}
	return int(stream.CachedInfo().State.Msgs), nil
}

// audit checks every trade's ledger against the rules and the simulator.
func (w *demoWorld) audit(ctx context.Context, orders []demoOrder) (audit.Report, error) {
	collector := audit.NewCollector(policyOf(w.config), 20)
	for _, o := range orders {
		trade, err := w.plant.ledger.LoadLatest(ctx, o.trade.TradeID)
		if err != nil {
			return audit.Report{}, err
		}
		truth := truthOf(w.sim, o)
		// Of several jobs any may be the one that was captured.
		job := &o.jobs[0]
		if len(o.jobs) > 1 {
			job = nil
		}
		collector.Add(o.trade.TradeID, trade.Events, &truth, job)
	}
	return collector.Report(), w.strangers(ctx, len(orders))
}

// strangers makes sure that the ledger holds no trade that nobody asked for.
func (w *demoWorld) strangers(ctx context.Context, want int) error {
	n := 0
	for _, err := range w.plant.ledger.Trades(ctx, ledger.Filter{}) {
		if err != nil {
			return err
		}
		n++
	}
	if n != want {
		return fmt.Errorf("the ledger holds %d trades, but %d were asked for", n, want)
	}
	return nil
}

func truthOf(sim *gatewaytest.Simulator, o demoOrder) audit.Truth {
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
