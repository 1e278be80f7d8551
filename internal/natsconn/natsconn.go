// Package natsconn connects to NATS the way a long-running worker wants it: a
// clear error where it cannot start, and reconnecting without end after that.
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

// DefaultStartTimeout is how long Connect tries where Config says nothing:
// enough for a server that is started together with us.
const DefaultStartTimeout = 10 * time.Second

const (
	dialTimeout   = 2 * time.Second
	retryPause    = 250 * time.Millisecond
	reconnectWait = 500 * time.Millisecond
	// Many workers that lost one server must not come back in one instant.
	reconnectJitter = 500 * time.Millisecond
	// A dead peer is noticed within two missed pings, well inside ack_wait.
	pingInterval = 10 * time.Second
	maxPings     = 2
	drainTimeout = 10 * time.Second
)

// Config says where and as whom to connect. Set at most one of Creds, User and
// Token.
type Config struct {
	// URL of the server, or several separated by commas. Not used where
	// Context is set.
	URL string
	// Context is the name (or absolute path) of a context of the nats command
	// line tool. It brings its own URL; credentials and TLS files set here are
	// used over the context's.
	Context  string
	Creds    string // path of a .creds file
	User     string
	Password string
	Token    string
	CA       string // path of a PEM file with the certificates to trust
	Cert     string // paths of a client certificate and its key
	Key      string
	// Name of this client, seen in the server's monitoring.
	Name string
	// StartTimeout bounds Connect; 0 is DefaultStartTimeout.
	StartTimeout time.Duration
}

// Conn is a connection and the JetStream that the configuration points at.
type Conn struct {
	*nats.Conn
	domain, apiPrefix string
}

// Connect connects, trying again for StartTimeout while nobody answers. Wrong
// credentials, a bad address or a file that cannot be read end it at once. The
// error names the servers without user, password or token. Once connected, a
// lost connection is re-made in the background without end, and log tells of it
// (nil: nobody is told). One that the client library gives up is not, see Ended.
func Connect(ctx context.Context, cfg Config, log *slog.Logger) (*Conn, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	where := Redact(cfg.URL)
	if cfg.Context != "" {
		where = "the servers of context " + cfg.Context
	} else if err := checkURL(cfg.URL); err != nil {
		return nil, err
	}
	if (cfg.Cert == "") != (cfg.Key == "") {
		return nil, errors.New("connecting to NATS: a client certificate needs both the certificate and its key")
	}
	conn, err := dialUntil(ctx, cfg, log)
	if err != nil {
		return nil, fmt.Errorf("connecting to NATS at %s: %w", where, inWords(hideURL(err)))
	}
	log.Info("connected to NATS", "server", Server(conn.Conn), "version", conn.ConnectedServerVersion())
	return conn, nil
}

// JetStream returns the JetStream of the connection, in the domain that the
// context names, if any.
func (c *Conn) JetStream() (jetstream.JetStream, error) {
	var js jetstream.JetStream
	var err error
	switch {
	case c.apiPrefix != "":
		js, err = jetstream.NewWithAPIPrefix(c.Conn, c.apiPrefix)
	case c.domain != "":
		// The same as NewWithDomain, in the form that all libraries understand.
		js, err = jetstream.NewWithAPIPrefix(c.Conn, "$JS."+c.domain+".API")
	default:
		js, err = jetstream.New(c.Conn)
	}
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return js, nil
}

// Ended calls told once when the connection is over for good, with the reason:
// after Close, and also where the server sent an error that the client library
// takes for the end, whatever else was asked of it. Nothing works on such a
// connection any more; who lives by it has to end too and start anew. Only the
// last told counts.
func (c *Conn) Ended(told func(error)) {
	var once sync.Once
	tell := func() { once.Do(func() { told(cmp.Or(c.LastError(), nats.ErrConnectionClosed)) }) }
	c.SetClosedHandler(func(*nats.Conn) { tell() })
	if c.IsClosed() { // before it could be heard
		tell()
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
		if err == nil || hopeless(err) {
			return conn, err
		}
		log.Debug("NATS does not answer yet", "error", hideURL(err))
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, fmt.Errorf("no connection within %s; is the server running and the address right? %w", bound, err)
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
		// Credentials are renewed under a running worker; a refusal in between
		// must not end it.
		nats.IgnoreAuthErrorAbort(),
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
				log.Warn("lost the connection to NATS; reconnecting", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("reconnected to NATS", "server", Server(nc))
		}),
		nats.ErrorHandler((&complaints{log: log, said: ratelog.New(quiet)}).heard),
	}
}

// inWords says of the refusals that nats.go names in two words what they mean.
func inWords(err error) error {
	for _, refusal := range []struct {
		is    error
		means string
	}{
		{nats.ErrAuthorization, "the server does not accept our credentials, or wants some and there are none"},
		{nats.ErrAuthExpired, "our credentials have expired"},
		{nats.ErrSecureConnWanted, "the address asks for TLS, and the server offers none"},
		{nats.ErrSecureConnRequired, "the server asks for TLS"},
	} {
		if errors.Is(err, refusal.is) {
			return fmt.Errorf("%s (%w)", refusal.means, err)
		}
	}
	return err
}

// hopeless tells errors that another try cannot mend.
func hopeless(err error) bool {
	for _, permanent := range []error{
		nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
		nats.ErrSecureConnRequired, nats.ErrSecureConnWanted, nats.ErrNkeysNotSupported,
		fs.ErrNotExist, fs.ErrPermission,
	} {
		if errors.Is(err, permanent) {
			return true
		}
	}
	if _, file := errors.AsType[*fs.PathError](err); file { // the error number in it would pass for one of the network
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
