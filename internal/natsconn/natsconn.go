// Package natsconn connects to NATS for a long-running process: a clear error if
// the first connection fails, and unlimited reconnects after that.
package natsconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/natscontext"

	"github.com/capture-worker/capture-worker/internal/ratelog"
)

// DefaultStartTimeout is the default of Config.StartTimeout. It suits a server
// that is started at the same time.
const DefaultStartTimeout = 10 * time.Second

const (
	dialTimeout   = 2 * time.Second
	retryPause    = 250 * time.Millisecond
	reconnectWait = 500 * time.Millisecond
	// Many workers that lost one server must not reconnect at the same moment.
	reconnectJitter = 500 * time.Millisecond
	// A dead peer is noticed within two missed pings, well inside ack_wait.
	pingInterval = 10 * time.Second
	maxPings     = 2
	drainTimeout = 10 * time.Second
)

// Config says where to connect and with which credentials. Set at most one of
// Creds, User and Token. With neither URL nor Context, Connect returns an error.
type Config struct {
	// URL of the server, or several separated by commas. Ignored if Context is
	// set.
	URL string
	// Context is the name or absolute path of a context of the nats command line
	// tool, which has its own URL; SelectedContext is the one selected there.
	// Credentials, TLS files and the inbox prefix that are set here override those
	// of the context.
	Context  string
	Creds    string // path of a .creds file
	User     string
	Password string
	Token    string
	CA       string // path of a PEM file with the certificates to trust
	Cert     string // paths of a client certificate and its key
	Key      string
	// InboxPrefix starts the subjects of replies; "" is that of the context, else
	// the client library's, _INBOX.
	InboxPrefix string
	// Source says where the address comes from, for the log; "" is not logged.
	Source string
	// Name of this client in the server's monitoring.
	Name string
	// StartTimeout bounds Connect; default: DefaultStartTimeout.
	StartTimeout time.Duration
}

// Conn is a connection, with the JetStream domain of its configuration.
type Conn struct {
	*nats.Conn
	domain, apiPrefix string
}

// Connect connects, and retries for StartTimeout while the server is not
// reachable. It returns at once if the credentials are wrong, the address is
// invalid or a file cannot be read. The error names the servers without user,
// password or token. A connection that is lost later is restored in the
// background, without a limit; log reports it (nil: no log). OnClosed reports a
// connection that the client library has closed.
func Connect(ctx context.Context, cfg Config, log *slog.Logger) (*Conn, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	where := Redact(cfg.URL)
	if cfg.Context == SelectedContext {
		name, err := selectedContext()
		if err != nil {
			return nil, fmt.Errorf("connecting to NATS: %w", err)
		}
		cfg.Context = name
	}
	if cfg.Context != "" {
		cfg.Source = "context " + cfg.Context
		where = "the servers of context " + cfg.Context
	} else if err := checkURL(cfg.URL); err != nil {
		return nil, err
	}
	if (cfg.Cert == "") != (cfg.Key == "") {
		return nil, errors.New("connecting to NATS: a client certificate needs both the certificate and its key")
	}
	conn, err := dialUntil(ctx, cfg, log)
	if err != nil {
		return nil, fmt.Errorf("connecting to NATS at %s: %w", where, withMeaning(hideURL(err)))
	}
	args := []any{"server", Server(conn.Conn), "version", conn.ConnectedServerVersion()}
	if cfg.Source != "" {
		args = append(args, "configured_by", cfg.Source)
	}
	log.Info("connected to NATS", args...)
	return conn, nil
}

// JetStream returns the JetStream of the connection, in the domain of its context
// if that has one.
func (c *Conn) JetStream() (jetstream.JetStream, error) {
	var js jetstream.JetStream
	var err error
	switch {
	case c.apiPrefix != "":
		js, err = jetstream.NewWithAPIPrefix(c.Conn, c.apiPrefix)
	case c.domain != "":
		// The same as NewWithDomain, in a form that orbit.go handles too.
		js, err = jetstream.NewWithAPIPrefix(c.Conn, "$JS."+c.domain+".API")
	default:
		js, err = jetstream.New(c.Conn)
	}
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return js, nil
}

// OnClosed calls closed once when the connection is closed, with the reason: after
// Close, or after a server error on which the client library closes a connection
// in spite of all reconnect settings. A closed connection cannot be used again,
// so the process has to end. OnClosed replaces the function of an earlier call.
func (c *Conn) OnClosed(closed func(error)) {
	var once sync.Once
	call := func() { once.Do(func() { closed(cmp.Or(c.LastError(), nats.ErrConnectionClosed)) }) }
	c.SetClosedHandler(func(*nats.Conn) { call() })
	if c.IsClosed() { // before the handler was set
		call()
	}
}

func dialUntil(ctx context.Context, cfg Config, log *slog.Logger) (*Conn, error) {
	bound := cfg.StartTimeout
	if bound <= 0 {
		bound = DefaultStartTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	for {
		conn, err := dial(cfg, log)
		if err == nil || permanent(err) {
			return conn, err
		}
		log.Debug("NATS not reachable, retrying", "error", hideURL(err))
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, fmt.Errorf("no connection within %s; check that the server is running and the address is right: %w", bound, err)
			}
			return nil, ctx.Err()
		case <-time.After(retryPause):
		}
	}
}

func dial(cfg Config, log *slog.Logger) (*Conn, error) {
	opts := options(cfg, log)
	if cfg.Context == "" {
		nc, err := nats.Connect(cfg.URL, opts...)
		if err != nil {
			return nil, err
		}
		return &Conn{Conn: nc}, nil
	}
	nc, set, err := natscontext.Connect(cfg.Context, opts...)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: nc, domain: set.JSDomain, apiPrefix: set.JSAPIPrefix}, nil
}

func options(cfg Config, log *slog.Logger) []nats.Option {
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.Timeout(dialTimeout),
		nats.SetCustomDialer(newDialer()),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPings),
		nats.DrainTimeout(drainTimeout),
		// Credentials may be renewed while the worker runs; a refusal in between
		// must not close the connection.
		nats.IgnoreAuthErrorAbort(),
	}
	if cfg.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(cfg.InboxPrefix))
	}
	opts = append(opts, credentials(cfg)...)
	return append(opts, handlers(log)...)
}

func credentials(cfg Config) []nats.Option {
	var opts []nats.Option
	switch {
	case cfg.Creds != "":
		opts = append(opts, nats.UserCredentials(cfg.Creds))
	case cfg.User != "":
		opts = append(opts, nats.UserInfo(cfg.User, cfg.Password))
	case cfg.Token != "":
		opts = append(opts, nats.Token(cfg.Token))
	}
	if cfg.CA != "" {
		opts = append(opts, nats.RootCAs(cfg.CA))
	}
	if cfg.Cert != "" {
		opts = append(opts, nats.ClientCert(cfg.Cert, cfg.Key))
	}
	return opts
}

func handlers(log *slog.Logger) []nats.Option {
	return []nats.Option{
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if err != nil {
				log.Warn("connection to NATS lost, reconnecting", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("reconnected to NATS", "server", Server(nc))
		}),
		nats.ErrorHandler((&errorLog{log: log, limit: ratelog.New(errorInterval)}).handle),
	}
}

// withMeaning adds an explanation to short errors of nats.go.
func withMeaning(err error) error {
	for _, refusal := range []struct {
		is    error
		means string
	}{
		{nats.ErrAuthorization, "the server rejects the credentials, or requires some and none are configured"},
		{nats.ErrAuthExpired, "the credentials have expired"},
		{nats.ErrSecureConnWanted, "the address requires TLS, and the server does not offer it"},
		{nats.ErrSecureConnRequired, "the server requires TLS"},
	} {
		if errors.Is(err, refusal.is) {
			return fmt.Errorf("%s (%w)", refusal.means, err)
		}
	}
	return err
}

// permanent reports whether another try would fail with the same error.
func permanent(err error) bool {
	for _, target := range []error{
		nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
		nats.ErrSecureConnRequired, nats.ErrSecureConnWanted, nats.ErrNkeysNotSupported,
		fs.ErrNotExist, fs.ErrPermission,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	if _, file := errors.AsType[*fs.PathError](err); file { // it contains an error number that looks like a network error
		return true
	}
	return isTLS(err) || !isNetwork(err)
}

func isTLS(err error) bool {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host) ||
		errors.As(err, &record) || errors.As(err, &alert)
}
