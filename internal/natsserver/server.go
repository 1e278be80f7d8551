// Package natsserver runs nats-server with JetStream inside the process: for
// `capture-worker run --embedded`, the demo and tests. It listens on TCP, so
// that the usual tools can look at it.
package natsserver

import (
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

// DefaultReadyTimeout bounds the start where Options say nothing. Recovering a
// large store takes a while.
const DefaultReadyTimeout = 30 * time.Second

// ErrNotReady says that the server did not come up within the bound.
var ErrNotReady = errors.New("the embedded NATS server did not come up")

// RandomPort asks for any free port.
const RandomPort = -1

// Options say how to run the server. The zero value of a field is its default.
type Options struct {
	// Host to listen on; default 127.0.0.1. The embedded server knows no users
	// or TLS: keep it on loopback.
	Host string
	// Port to listen on; 0 and RandomPort pick a free one.
	Port int
	// StoreDir is where JetStream keeps its files. It is required, created
	// where missing, and locked: two servers never share one.
	StoreDir string
	// SyncAlways makes JetStream write to the disk before it acknowledges.
	// Without it a crash of the machine may lose acknowledged events.
	SyncAlways bool
	// Name of the server; default capture-worker.
	Name string
	// Logger gets the server's warnings and errors, and its notices at debug
	// level. Nil: nothing is logged.
	Logger *slog.Logger
	// ReadyTimeout bounds the start.
	ReadyTimeout time.Duration

	cluster *clusterOptions
}

// Server is a running nats-server. Whoever started it shuts it down.
type Server struct {
	srv  *server.Server
	lock *dirLock
	opts Options
}

// Start runs a server and returns when it takes connections. Errors say which
// address or directory is at fault; ErrNotReady is wrapped where it did not
// come up in time. Nothing is left running after an error.
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
	// The server opens its store before it listens and only logs a taken port.
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
		NoSigs: true, // signals are the embedding program's business
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
		return fmt.Errorf("the embedded NATS server cannot listen on %s (is another NATS server running there? then connect to it instead of embedding one): %w", addr, err)
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

// URL is where clients connect: nats://host:port.
func (s *Server) URL() string { return s.srv.ClientURL() }

// Port is the port it listens on, the one picked where a random one was asked.
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

// Name of the server, as JetStream names it in the placement of streams.
func (s *Server) Name() string { return s.srv.Name() }

// Shutdown stops the server, waits until it is down and gives the store
// directory free. Connections break; clients reconnect to a successor at the
// same address. It may be called more than once.
func (s *Server) Shutdown() {
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
	s.lock.release()
}
