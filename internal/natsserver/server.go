// Package natsserver runs nats-server with JetStream inside the process: for
// `capture-worker run --embedded`, the demo and tests. It listens on TCP, so the
// usual tools work with it.
package natsserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// DefaultReadyTimeout is the default of Options.ReadyTimeout. Recovering a large
// store takes long.
const DefaultReadyTimeout = 30 * time.Second

// ErrNotReady means that the server was not ready within Options.ReadyTimeout.
var ErrNotReady = errors.New("the embedded NATS server is not ready")

// RandomPort selects a free port.
const RandomPort = -1

// Options of a server. The zero value of each field is its default; StoreDir is
// required.
type Options struct {
	// Host to listen on; default: 127.0.0.1. The embedded server has neither users
	// nor TLS, so it should listen on loopback only.
	Host string
	// Port to listen on; 0 and RandomPort pick a free one.
	Port int
	// StoreDir is the directory of JetStream's files. It is created if it does not
	// exist, and locked against use by a second server.
	StoreDir string
	// SyncAlways makes JetStream sync every message to disk before it confirms it.
	// Without it, a crash of the machine may lose confirmed events.
	SyncAlways bool
	// Name of the server; default: capture-worker.
	Name string
	// Logger gets the server's warnings and errors, and its notices at debug
	// level; nil: no log.
	Logger *slog.Logger
	// ReadyTimeout bounds the start; default: DefaultReadyTimeout.
	ReadyTimeout time.Duration

	cluster *clusterOptions
}

// Server is a running nats-server.
type Server struct {
	srv  *server.Server
	lock *dirLock
	opts Options
}

// Start runs a server and returns when it accepts connections. Errors name the
// address or directory; ErrNotReady is wrapped if it was not ready in time. After
// an error nothing is left running.
func Start(o Options) (*Server, error) {
	o = o.withDefaults()
	s, err := launch(o)
	if err != nil {
		return nil, err
	}
	if err := s.waitReady(); err != nil {
		s.Shutdown()
		return nil, err
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Port == 0 {
		o.Port = RandomPort
	}
	if o.Name == "" {
		o.Name = "capture-worker"
	}
	if o.ReadyTimeout <= 0 {
		o.ReadyTimeout = DefaultReadyTimeout
	}
	return o
}

// launch starts the server without waiting for it.
func launch(o Options) (*Server, error) {
	if o.StoreDir == "" {
		return nil, errors.New("starting the embedded NATS server: no store directory is set")
	}
	if err := os.MkdirAll(o.StoreDir, 0o750); err != nil {
		return nil, fmt.Errorf("creating the store directory of the embedded NATS server: %w", err)
	}
	lock, err := lockDir(o.StoreDir)
	if err != nil {
		return nil, err
	}
	// The server opens its store before it listens, and only logs that a port is in
	// use.
	if err := portFree(o.Host, o.Port); err != nil {
		lock.release()
		return nil, err
	}
	srv, err := server.NewServer(serverOptions(o))
	if err != nil {
		lock.release()
		return nil, fmt.Errorf("starting the embedded NATS server: %w", err)
	}
	srv.SetLogger(newLogger(o.Logger), false, false)
	srv.Start()
	return &Server{srv: srv, lock: lock, opts: o}, nil
}

func serverOptions(o Options) *server.Options {
	so := &server.Options{
		ServerName: o.Name, Host: o.Host, Port: o.Port,
		JetStream: true, StoreDir: o.StoreDir, SyncAlways: o.SyncAlways,
		NoSigs: true, // the embedding program handles signals
	}
	if o.cluster != nil {
		o.cluster.apply(so)
	}
	return so
}

func portFree(host string, port int) error {
	if port == RandomPort {
		return nil
	}
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("the embedded NATS server cannot listen on %s; if another NATS server runs there, connect to it instead: %w", addr, err)
	}
	return l.Close()
}

func (s *Server) waitReady() error {
	if !s.srv.ReadyForConnections(s.opts.ReadyTimeout) {
		return fmt.Errorf("%w within %s on %s, store %s", ErrNotReady, s.opts.ReadyTimeout, net.JoinHostPort(s.opts.Host, strconv.Itoa(s.opts.Port)), s.opts.StoreDir)
	}
	if !s.srv.JetStreamEnabled() {
		return fmt.Errorf("%w: JetStream could not open its store in %s", ErrNotReady, s.opts.StoreDir)
	}
	return nil
}

// URL returns the address for clients: nats://host:port.
func (s *Server) URL() string { return s.srv.ClientURL() }

// Port returns the port that the server listens on.
func (s *Server) Port() int {
	u, err := url.Parse(s.srv.ClientURL())
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return 0
	}
	return port
}

// Name returns the name of the server, as in the placement of streams.
func (s *Server) Name() string { return s.srv.Name() }

// Shutdown stops the server, waits until it is down and releases the store
// directory. Clients reconnect to a new server at the same address. It may be
// called more than once.
func (s *Server) Shutdown() {
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
	s.lock.release()
}

// logger passes the server's log lines to slog. Its Fatalf does not end the
// process, unlike that of the server's own logger.
type logger struct{ to *slog.Logger }

func newLogger(to *slog.Logger) *logger {
	if to == nil {
		to = slog.New(slog.DiscardHandler)
	}
	return &logger{to.With("component", "nats-server")}
}

func (l *logger) log(level slog.Level, format string, args []any) {
	if ctx := context.Background(); l.to.Enabled(ctx, level) {
		l.to.Log(ctx, level, fmt.Sprintf(format, args...))
	}
}

func (l *logger) Noticef(format string, args ...any) { l.log(slog.LevelDebug, format, args) }
func (l *logger) Warnf(format string, args ...any)   { l.log(slog.LevelWarn, format, args) }
func (l *logger) Fatalf(format string, args ...any)  { l.log(slog.LevelError, format, args) }
func (l *logger) Errorf(format string, args ...any)  { l.log(slog.LevelError, format, args) }
func (l *logger) Debugf(format string, args ...any)  { l.log(slog.LevelDebug, format, args) }
func (l *logger) Tracef(string, ...any)              {}
