package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/metrics"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/records"
	"github.com/capture-worker/capture-worker/internal/sdnotify"
)

// RunRecords fills the database of the records until ctx ends, the ledger is found
// to be another one, or NATS closes the connection.
func RunRecords(ctx context.Context, c config.Config, version string, log *slog.Logger) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	nc, err := Connect(ctx, c, log)
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.OnClosed(func(err error) { end(fmt.Errorf("%w: %w", ErrConnectionClosed, err)) })
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	store, err := OpenRecords(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	f, err := FollowerConfig(c, js, store, log)
	if err != nil {
		return err
	}
	follower := records.NewFollower(f)
	ready := func() error {
		if !nc.IsConnected() {
			return errDisconnected
		}
		if _, ok := follower.Lag(records.SourceLedger); !ok {
			return errors.New("not ready: the ledger was not looked at yet")
		}
		return nil
	}
	state := &recordsState{store: store, after: c.Worker.AttentionAfter}
	stop, err := watchRecords(ctx, c, version, follower, state, ready, log)
	if err != nil {
		return err
	}
	defer stop()
	defer context.AfterFunc(ctx, func() { notifySystemd(log, sdnotify.Stopping) })()
	log.InfoContext(ctx, "following the ledger", "stream", c.Ledger.Stream, "database", store.Where(), "consumer", c.Records.Consumer, "version", version)
	err = follower.Run(ctx)
	log.InfoContext(ctx, "records stopped", "applied", follower.Progress(records.SourceLedger).Applied)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// watchRecords serves metrics and health of the records, and notifies systemd.
// stop ends it and waits.
func watchRecords(ctx context.Context, c config.Config, version string, f *records.Follower, state *recordsState, ready probe, log *slog.Logger) (stop func(), err error) {
	m := metrics.NewPlain(version)
	gaugeRecords(m, f, state)
	alive := func() error { return nil } // a failure ends the process
	stopServing, err := serveRecords(c, adminRoutes(m.Handler(), alive, ready, false), log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var helpers sync.WaitGroup
	helpers.Go(func() { runSystemd(ctx, alive, ready, log) })
	helpers.Go(func() { state.poll(ctx) })
	return func() {
		cancel()
		helpers.Wait()
		stopServing()
	}, nil
}

// recordsState is what the gauges report of the records, besides the lag.
type recordsState struct {
	store   *records.Store
	after   time.Duration
	overdue atomic.Int64 // trades that are open too long
	stopped atomic.Bool  // the records do not follow the ledger any more
}

// poll counts until ctx ends. If the database does not answer, the last number
// stays.
func (o *recordsState) poll(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if n, err := o.store.CountOverdue(ctx, time.Now().Add(-o.after)); err == nil {
			o.overdue.Store(int64(n))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// gaugeRecords adds the gauges of the records to m.
func gaugeRecords(m *metrics.Metrics, f *records.Follower, state *recordsState) {
	m.Gauge("capture_records_stopped", "1 if the records of a worker do not follow the ledger any more; the log says why. The records command ends instead.",
		func() float64 { return one(state.stopped.Load()) })
	m.Gauge("capture_records_overdue_trades", "Trades that are open longer than worker.attention_after, as the records hold them.",
		func() float64 { return float64(state.overdue.Load()) })
	by := func(value func(records.Source) float64) map[string]func() float64 {
		series := map[string]func() float64{}
		for _, source := range records.Sources() {
			series[string(source)] = func() float64 { return value(source) }
		}
		return series
	}
	m.GaugeBy("capture_records_applied_sequence", "Sequence of the stream up to which the records hold it.", "source",
		by(func(s records.Source) float64 { return float64(f.Progress(s).Applied) }))
	m.GaugeBy("capture_records_lag_messages", "Messages of the stream that the records do not hold yet.", "source",
		by(func(s records.Source) float64 { lag, _ := f.Lag(s); return float64(lag.Messages) }))
	m.GaugeBy("capture_records_lag_seconds", "Time between the stream's last message and the last one that the records hold, and the time since the broker and the database answered if they do not.", "source",
		by(func(s records.Source) float64 { lag, _ := f.Lag(s); return lag.Behind.Seconds() }))
}

// recordsFile is the name of the database in nats.store_dir.
const recordsFile = "records.db"

// EmbeddedDSN returns the database of a process that also runs the server, "" if
// records are off.
func EmbeddedDSN(c config.Config) gateway.Secret {
	switch c.Records.DSN {
	case "":
		return gateway.Secret(filepath.Join(c.NATS.StoreDir, recordsFile))
	case config.RecordsOff:
		return ""
	}
	return c.Records.DSN
}

// ReadableRecords returns the database that commands read: the configured one, or
// the one that a worker with an embedded server keeps, "" if there is none.
func ReadableRecords(c config.Config) gateway.Secret {
	if HasRecords(c) {
		return c.Records.DSN
	}
	embedded := EmbeddedDSN(c) // "" if they are off
	if _, err := os.Stat(string(embedded)); err != nil {
		return ""
	}
	return embedded
}

// embedRecords fills the records beside a worker. A failure is logged and does not
// affect the worker. stop ends it and waits.
func embedRecords(ctx context.Context, c config.Config, m *metrics.Metrics, log *slog.Logger) (stop func()) {
	if c.Records.DSN = EmbeddedDSN(c); c.Records.DSN == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		if err := followEmbedded(ctx, c, m, log); err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "records stopped", "error", err)
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// followEmbedded uses its own connection to NATS, apart from that of the worker.
func followEmbedded(ctx context.Context, c config.Config, m *metrics.Metrics, log *slog.Logger) error {
	nc, err := Connect(ctx, c, log)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	store, err := OpenRecords(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	following, err := FollowerConfig(c, js, store, log)
	if err != nil {
		return err
	}
	follower := records.NewFollower(following)
	state := &recordsState{store: store, after: c.Worker.AttentionAfter}
	gaugeRecords(m, follower, state)
	ctx, cancel := context.WithCancel(ctx)
	var counting sync.WaitGroup
	counting.Go(func() { state.poll(ctx) })
	defer func() {
		cancel()
		counting.Wait()
	}()
	err = follower.Run(ctx)
	state.stopped.Store(ctx.Err() == nil)
	return err
}

// FollowerConfig returns the configuration of the records' follower for the
// configured streams.
func FollowerConfig(c config.Config, js jetstream.JetStream, store *records.Store, log *slog.Logger) (records.Config, error) {
	decoder, err := capture.NewDecoder(c.JobMapping())
	if err != nil {
		return records.Config{}, err
	}
	return records.Config{
		JS: js, Store: store, Ledger: c.Ledger.Stream, DLQ: c.Jobs.DLQStream, Acts: c.Jobs.ActsStream, Consumer: c.Records.Consumer, Decoder: decoder, Log: log,
	}, nil
}

// OpenRecords opens the database for writing. It waits for a database that is
// starting or electing a leader.
func OpenRecords(ctx context.Context, c config.Config) (*records.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, natsconn.DefaultStartTimeout)
	defer cancel()
	for {
		store, err := records.Open(ctx, string(c.Records.DSN), records.Options{Window: c.Gateway.Window})
		if err == nil || errors.Is(err, records.ErrDSN) {
			return store, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("records.dsn: %w", err)
		case <-time.After(recordsRetry):
		}
	}
}

const recordsRetry = 250 * time.Millisecond

// serveRecords serves on records.listen, if that is set.
func serveRecords(c config.Config, handler http.Handler, log *slog.Logger) (stop func(), err error) {
	if c.Records.Listen == "" {
		return func() {}, nil
	}
	listener, err := Listen("metrics and health (records.listen)", c.Records.Listen)
	if err != nil {
		return nil, err
	}
	return serveAdmin(listener, handler, log), nil
}
