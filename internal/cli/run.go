package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/sdnotify"
)

// flushBound bounds the wait for the last acks to leave at the end.
const flushBound = 5 * time.Second

func newRunCmd(a *app) *cobra.Command {
	var embedded bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Take jobs from JetStream and capture them",
		Long: `Takes jobs from JetStream, captures each trade once at the gateway and writes
down what happened. It creates the streams and the consumer that are missing
and never alters what it finds.

It ends on SIGTERM or SIGINT: it takes no more jobs, finishes the calls in
flight within worker.shutdown_timeout and hands the rest back.`,
		Example: `  # against a simulator: capture-worker gateway-sim --listen 127.0.0.1:8700
  export CAPTURE_GATEWAY_URL=http://127.0.0.1:8700/Payments
  export CAPTURE_GATEWAY_USER=016683 CAPTURE_GATEWAY_SECRET_KEY=example-secret-key
  export CAPTURE_NOTIFY_LISTEN=127.0.0.1:8080 CAPTURE_GATEWAY_NOTIFY_URL=http://127.0.0.1:8080/notify
  capture-worker run --embedded`,
		Args: cobra.NoArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd, config.NeedGateway, config.NeedNotifyURL)
			if err != nil {
				return err
			}
			if !embedded { // the server keeps its index in the same heap
				spare(c)
			}
			log := newLogger(c.Log, cmd.ErrOrStderr())
			err = runWorker(cmd.Context(), c, embedded, log)
			if cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				log.Info("stopped before it took jobs", "worker", c.Worker.Name)
				return nil // as it was told to
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&embedded, "embedded", false,
		"run a JetStream server inside, at nats.url with its files in nats.store_dir; for a single machine")
	addSettings(cmd)
	return cmd
}

// runWorker works until ctx ends, the streams are changed so that no worker
// would start on them, or the connection to NATS is over for good.
func runWorker(ctx context.Context, c config.Config, embedded bool, log *slog.Logger) (err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if embedded {
		server, err := startEmbedded(c, log)
		if err != nil {
			return err
		}
		defer server.Shutdown()
	}
	nc, err := connect(ctx, c, log)
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.OnClosed(func(err error) { end(&cutOffError{err}) })
	traces, stopTraces, err := startTracing(ctx, c, log)
	if err != nil {
		return err
	}
	defer stopTraces()
	p, err := assemble(ctx, c, nc, traces, log)
	if err != nil {
		return err
	}
	defer p.client.Close()
	if embedded {
		defer embedRecords(ctx, c, p.metrics, log)()
	}
	notices, err := listenForNotices(c, log)
	if err != nil {
		return err
	}
	if notices != nil {
		defer notices.Close() // where the worker does not come to serve it
	}
	stop, err := watchOver(ctx, c, p, nc, end, log)
	if err != nil {
		return err
	}
	defer stop()
	defer context.AfterFunc(ctx, func() { tell(log, sdnotify.Stopping) })()
	log.InfoContext(ctx, "taking jobs", "worker", c.Worker.Name, "stream", c.Jobs.Stream, "subjects", c.Jobs.Subjects,
		"gateway", c.Gateway.URL, "concurrency", c.Worker.Concurrency, "version", readBuild().Version)
	err = p.work(ctx, notices, c.Notify.Path)
	// Acks are fire and forget: what is still in the buffer must leave it.
	if flushErr := nc.FlushTimeout(flushBound); flushErr != nil {
		err = errors.Join(err, fmt.Errorf("telling the broker what became of the last jobs: %w", flushErr))
	}
	log.InfoContext(ctx, "stopped", "worker", c.Worker.Name)
	return errors.Join(ownEnd(ctx), err)
}

// cutOffError says that NATS ended the connection in a way that the client
// library does not come back from. Nobody pulls jobs on it any more, so the
// worker ends, to be started anew.
type cutOffError struct{ err error }

func (e *cutOffError) Error() string {
	return "the connection to NATS was ended for good, and with it the worker: " + e.err.Error()
}

func (e *cutOffError) Unwrap() error { return e.err }

// ownEnd is why the worker ended itself, nil where it was told to.
func ownEnd(ctx context.Context) error {
	cause := context.Cause(ctx)
	if unfit, is := errors.AsType[*unfitError](cause); is {
		return unfit
	}
	if cut, is := errors.AsType[*cutOffError](cause); is {
		return cut
	}
	return nil
}

// startEmbedded runs JetStream where nats.url says, synced to the disk before
// anything is acknowledged.
func startEmbedded(c config.Config, log *slog.Logger) (*natsserver.Server, error) {
	host, port, err := embeddedAddress(c.NATS.URL)
	if err != nil {
		return nil, err
	}
	return natsserver.Start(natsserver.Options{
		Host: host, Port: port, StoreDir: c.NATS.StoreDir, SyncAlways: true, Logger: log,
	})
}

func embeddedAddress(natsURL string) (host string, port int, err error) {
	u, err := url.Parse(natsURL)
	if err != nil || u.Hostname() == "" {
		return "", 0, usageError("nats.url %q: --embedded needs one address such as nats://127.0.0.1:4222", natsURL)
	}
	port = 4222
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil {
			return "", 0, usageError("nats.url %q: the port is not a number", natsURL)
		}
	}
	// The embedded server asks nobody for a password.
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", 0, usageError("nats.url %q: --embedded listens on loopback only, such as nats://127.0.0.1:4222", natsURL)
	}
	return u.Hostname(), port, nil
}
