// Package service assembles and runs a worker: connection, streams, gateway
// client, ledger, listeners and metrics, as the configuration says.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/metrics"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/passedover"
	"github.com/capture-worker/capture-worker/internal/sdnotify"
	"github.com/capture-worker/capture-worker/internal/withdrawals"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/notify"
	"github.com/capture-worker/capture-worker/worker"
)

// flushTimeout limits the wait for the last acks to be sent.
const flushTimeout = 5 * time.Second

var (
	// ErrStreamsChanged ends Run: the streams were changed such that New would
	// refuse them.
	ErrStreamsChanged = errors.New("JetStream was changed under the worker: it would lose jobs or stall")
	// ErrConnectionClosed ends Run: NATS closed the connection and the client
	// library does not reconnect. A new process has to be started.
	ErrConnectionClosed = errors.New("the connection to NATS was closed permanently")
)

// Options are what New needs.
type Options struct {
	Config   config.Config
	Version  string // of the program
	Embedded bool   // also run a JetStream server at nats.url, and fill the records
	Records  bool   // also fill the records
	Log      *slog.Logger

	// Beside, if set, runs beside the worker until its context ends. An error of it
	// is logged, and does not end the worker.
	Beside func(context.Context) error

	// Notifications is a listener that is already open, used instead of
	// notify.listen. The service closes it.
	Notifications net.Listener
}

// Service is a worker with everything it uses.
type Service struct {
	c       config.Config
	version string
	log     *slog.Logger

	server        *natsserver.Server // nil unless it is embedded
	nc            *natsconn.Conn
	js            jetstream.JetStream
	stopTraces    func()
	stopRecords   func()
	beside        func(context.Context) error
	client        *gateway.Client
	notifications net.Listener // nil if there are none

	pool         worker.Pool
	keys         *keyring
	certificates *certificates
	appends      *appendHealth
	ledger       ledger.Ledger
	consumers    []jetstream.Consumer
	metrics      *metrics.Metrics
	gauges       *backlogGauges
	archive      *archiveGauge
	notices      notify.Config
	notified     notify.Source // trades with notifications in the ledger
	behind       *controls.LedgerGuard

	withdrawals     *withdrawals.Consumer
	withdrawn       *withdrawals.Orders
	withdrawalsWait atomic.Int64
	passedOver      *passedover.Watch

	// failed ends with the reason, ErrStreamsChanged or ErrConnectionClosed, if
	// the service cannot continue.
	failed context.Context
	fail   context.CancelCauseFunc
}

// New connects to NATS, creates the streams and consumers that are missing,
// opens the listener for notifications and builds the worker. It alters no
// stream that it finds, and returns an error if one would lose jobs. The caller
// calls Close.
func New(ctx context.Context, o Options) (*Service, error) {
	s := &Service{c: o.Config, version: o.Version, log: o.Log, notifications: o.Notifications, beside: o.Beside}
	s.failed, s.fail = context.WithCancelCause(context.Background())
	if err := s.start(ctx, o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Service) start(ctx context.Context, o Options) (err error) {
	ctx, stop := s.untilFailed(ctx)
	defer stop()
	if o.Embedded {
		s.c = s.c.OwnServer()
		if s.server, err = startEmbedded(s.c, s.log); err != nil {
			return err
		}
	}
	if s.nc, err = Connect(ctx, s.c, s.log); err != nil {
		return err
	}
	s.nc.OnClosed(func(err error) { s.fail(fmt.Errorf("%w: %w", ErrConnectionClosed, err)) })
	traces, stopTraces, err := startTracing(ctx, s.c, s.version, s.log)
	if err != nil {
		return err
	}
	s.stopTraces = stopTraces
	if err := s.assemble(ctx, traces); err != nil {
		return err
	}
	if o.Embedded || o.Records {
		s.stopRecords = embedRecords(ctx, s.c, s.metrics, s.log)
	}
	if s.notifications == nil {
		s.notifications, err = listenForNotifications(s.c, s.log)
	}
	return err
}

// untilFailed returns a context that ends with ctx, or when the service fails.
func (s *Service) untilFailed(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.failed, cancel)
	return ctx, func() { stop(); cancel() }
}

// Run takes jobs until ctx ends, and then finishes the calls in flight. It
// returns ErrStreamsChanged or ErrConnectionClosed if it ended by itself. It
// also serves metrics and health, and notifications.
func (s *Service) Run(ctx context.Context) error {
	ctx, cancel := s.untilFailed(ctx)
	defer cancel()
	stop, err := s.startHelpers(ctx)
	if err != nil {
		return err
	}
	defer stop()
	defer context.AfterFunc(ctx, func() { notifySystemd(s.log, sdnotify.Stopping) })()
	c := s.c
	s.log.InfoContext(ctx, "taking jobs", "worker", c.Worker.Name, "stream", c.Jobs.Stream, "subjects", c.Jobs.Subjects,
		"gateway", c.Gateway.URL, "concurrency", c.Worker.Concurrency, "version", s.version)
	err = s.work(ctx)
	// Acks are not confirmed: send those that are still in the buffer.
	if flushErr := s.nc.FlushTimeout(flushTimeout); flushErr != nil {
		err = errors.Join(err, fmt.Errorf("sending the acks of the last jobs: %w", flushErr))
	}
	s.log.InfoContext(ctx, "stopped", "worker", c.Worker.Name)
	return errors.Join(context.Cause(s.failed), err)
}

// work runs the workers, the follow-up of notified trades and the listener for
// notifications, until ctx ends or one of them fails; then all of them stop.
func (s *Service) work(ctx context.Context) error {
	handler, err := notify.New(s.notices)
	if err != nil {
		return err
	}
	countNotices(s.metrics, handler.Stats())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		handler.Follow(ctx, s.notified)
		return nil
	})
	group.Go(func() error {
		s.withdrawn.Follow(ctx)
		return nil
	})
	group.Go(func() error {
		s.withdrawals.Run(ctx)
		return nil
	})
	group.Go(func() error {
		if err := s.withdrawn.Await(ctx, ordersTimeout); err != nil && ctx.Err() == nil {
			return err
		}
		s.pool.Run(ctx)
		return nil
	})
	group.Go(func() error {
		s.runBeside(ctx)
		return nil
	})
	group.Go(func() error {
		if s.notifications == nil {
			<-ctx.Done()
			handler.Drain()
			return nil
		}
		return notify.Serve(ctx, s.notifications, s.c.Notify.Path, handler, notify.DefaultLimits())
	})
	return group.Wait()
}

// runBeside runs Options.Beside.
func (s *Service) runBeside(ctx context.Context) {
	if s.beside == nil {
		return
	}
	if err := s.beside(ctx); err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "console stopped", "error", err)
	}
}

// Close releases what New opened. Call it after Run has returned.
func (s *Service) Close() {
	if s.notifications != nil {
		_ = s.notifications.Close() // Run has closed it already, if it was called
	}
	if s.stopRecords != nil {
		s.stopRecords()
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.stopTraces != nil {
		s.stopTraces()
	}
	if s.nc != nil {
		s.nc.Close()
	}
	if s.server != nil {
		s.server.Shutdown()
	}
	s.fail(nil)
}
