package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/metrics"
	"github.com/capture-worker/capture-worker/internal/records"
	"github.com/capture-worker/capture-worker/internal/sdnotify"
)

// newFollower is what follows the streams of the configuration.
func newFollower(c config.Config, js jetstream.JetStream, store *records.Store, log *slog.Logger) (records.Config, error) {
	decoder, err := capture.NewDecoder(mappingOf(c))
	if err != nil {
		return records.Config{}, err
	}
	return records.Config{
		JS: js, Store: store, Ledger: c.Ledger.Stream, DLQ: c.Jobs.DLQStream, Consumer: c.Records.Consumer, Decoder: decoder, Log: log,
	}, nil
}

// runRecords fills the database until ctx ends, the ledger turns out to be
// another one, or the connection to NATS is over for good.
func runRecords(ctx context.Context, c config.Config, log *slog.Logger) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	nc, err := connect(ctx, c, log)
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.OnClosed(func(err error) { end(fmt.Errorf("the connection to NATS was closed: %w", err)) })
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	store, err := openRecords(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	f, err := newFollower(c, js, store, log)
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
	stop, err := watchRecords(ctx, c, follower, ready, log)
	if err != nil {
		return err
	}
	defer stop()
	defer context.AfterFunc(ctx, func() { tell(log, sdnotify.Stopping) })()
	log.InfoContext(ctx, "following the ledger", "stream", c.Ledger.Stream, "database", store.Where(), "consumer", c.Records.Consumer, "version", readBuild().Version)
	err = follower.Run(ctx)
	log.InfoContext(ctx, "records stopped", "applied", follower.Progress(records.SourceLedger).Applied)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// watchRecords serves metrics and health of the records command, and tells
// systemd. stop ends it and waits.
func watchRecords(ctx context.Context, c config.Config, f *records.Follower, ready probe, log *slog.Logger) (stop func(), err error) {
	m := metrics.NewPlain(readBuild().Version)
	gaugeRecords(m, f)
	alive := func() error { return nil } // whoever answers lives: its end ends the process
	stopServing, err := serveRecords(c, adminRoutes(m.Handler(), alive, ready, false), log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var helpers sync.WaitGroup
	helpers.Go(func() { tellSystemd(ctx, alive, ready, log) })
	return func() {
		cancel()
		helpers.Wait()
		stopServing()
	}, nil
}

// gaugeRecords adds the series of the records.
func gaugeRecords(m *metrics.Metrics, f *records.Follower) {
	by := func(value func(records.Source) float64) map[string]func() float64 {
		series := map[string]func() float64{}
		for _, source := range []records.Source{records.SourceLedger, records.SourceDeadLetters} {
			series[string(source)] = func() float64 { return value(source) }
		}
		return series
	}
	m.GaugeBy("capture_records_applied_sequence", "Sequence of the stream up to which the records hold it.", "source",
		by(func(s records.Source) float64 { return float64(f.Progress(s).Applied) }))
	m.GaugeBy("capture_records_lag_messages", "Messages of the stream that the records do not hold yet.", "source",
		by(func(s records.Source) float64 { lag, _ := f.Lag(s); return float64(lag.Messages) }))
	m.GaugeBy("capture_records_lag_seconds", "Time between the stream's last message and the last one that the records hold.", "source",
		by(func(s records.Source) float64 { lag, _ := f.Lag(s); return lag.Behind.Seconds() }))
}

// serveRecords serves on records.listen, if that is set.
func serveRecords(c config.Config, handler http.Handler, log *slog.Logger) (stop func(), err error) {
	if c.Records.Listen == "" {
		return func() {}, nil
	}
	listener, err := listenAt("metrics and health (records.listen)", c.Records.Listen)
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics and health are no longer served", "error", err)
		}
	}()
	log.Info("serving metrics and health", "address", listener.Addr().String())
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), adminClose)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
		<-served
	}, nil
}

// progressEvery is how often a rebuild says how far it is.
const progressEvery = 2 * time.Second

// tellProgress writes how far a rebuild is, if w is a terminal. stop ends it and
// waits.
func tellProgress(ctx context.Context, w io.Writer, f *records.Follower) (stop func()) {
	if !isTerminal(w) {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				p := f.Progress(records.SourceLedger)
				fmt.Fprintf(w, "sequence %d of %d\n", p.Applied, p.Until)
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func printRecordsStatus(w io.Writer, rows []recordsStatus, output string) error {
	slices.SortFunc(rows, func(a, b recordsStatus) int { return cmp.Compare(b.Source, a.Source) }) // the ledger first
	if output == "json" {
		if err := writeJSON(w, rows); err != nil {
			return err
		}
	} else {
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "SOURCE\tSTREAM\tAPPLIED\tLAST\tMISSING\tAS OF (UTC)")
		for _, r := range rows {
			asOf := "-"
			if !r.AsOf.IsZero() {
				asOf = r.AsOf.UTC().Format(time.DateTime)
			}
			fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s\n", r.Source, r.Stream, r.Applied, r.Last, r.Missing, asOf)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if r.Problem != "" {
			return foundError("%s", r.Problem)
		}
	}
	return nil
}
