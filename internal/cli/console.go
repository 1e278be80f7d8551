package cli

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/console"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/records"
	"github.com/capture-worker/capture-worker/internal/service"
	"github.com/capture-worker/capture-worker/ledger"
)

const consoleLong = `Serves pages for finance and support on console.listen: was an order charged, and
how do we know; what needs an operator; dead letters; the day in numbers; who did
what. It reads the records (records.dsn), which a records process or run --embedded
fills, and acts as the commands do.

Without a login it answers this machine only and is read-only. Users come from a
file of bcrypt hashes (console.users) or are named by a proxy that has
authenticated them (console.identity_header); console.operators and
console.approvers say who may act. See docs/console.md.

It ends on SIGTERM or SIGINT.`

func newConsoleCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Serve pages for finance and support",
		Long:  consoleLong,
		Example: `  capture-worker console
  htpasswd -B -c users ana && CAPTURE_CONSOLE_USERS=users CAPTURE_CONSOLE_OPERATORS=ana capture-worker console`,
		Args: cobra.NoArgs,
	}
	addSettings(cmd, "nats", "jobs", "ledger", "gateway", "worker", "reconcile", "records", "console", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		c, err := a.load(cmd, config.NeedRecords)
		if err != nil {
			return err
		}
		if c.Console.Listen == "" {
			return usageError("console.listen is off: set an address, such as 127.0.0.1:9466")
		}
		return runConsole(cmd.Context(), c, nil, newLogger(c.Log, cmd.ErrOrStderr()))
	})
	return cmd
}

// runConsole serves the console until ctx ends. listener is console.listen if it
// is nil.
func runConsole(ctx context.Context, c config.Config, listener net.Listener, log *slog.Logger) (err error) {
	if listener == nil {
		if listener, err = service.Listen("the console (console.listen)", c.Console.Listen); err != nil {
			return err
		}
	}
	defer listener.Close()
	access, err := consoleAccess(c.Console)
	if err != nil {
		return err
	}
	return serveConsole(ctx, c, listener, access, log)
}

// consoleBeside returns what serves the console beside an embedded server, nil if
// there is none. If the address is the default and in use, the worker runs
// without it; any other fault of the configuration is an error.
func consoleBeside(c config.Config, log *slog.Logger) (func(context.Context) error, error) {
	c.Records.DSN = service.EmbeddedDSN(c)
	if c.Console.Listen == "" || c.Records.DSN == "" {
		return nil, nil
	}
	access, err := consoleAccess(c.Console)
	if err != nil {
		return nil, err
	}
	listener, err := service.Listen("the console (console.listen)", c.Console.Listen)
	if err != nil {
		if c.Origin("console.listen").From != config.FromDefault {
			return nil, err
		}
		log.Error("console not served: set console.listen to a free address, or to off", "error", err)
		return nil, nil
	}
	return func(ctx context.Context) error {
		defer listener.Close()
		return serveConsole(ctx, c, listener, access, log)
	}, nil
}

// serveConsole connects to what the console works with, and serves it.
func serveConsole(ctx context.Context, c config.Config, listener net.Listener, access console.Access, log *slog.Logger) error {
	nc, err := service.Connect(ctx, c, log)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	store, err := openReader(ctx, c)
	if err != nil {
		return fmt.Errorf("%w; `capture-worker records` fills it", err)
	}
	defer store.Close()
	o, done, err := consoleOptions(ctx, c, js, store, log)
	if err != nil {
		return err
	}
	defer done()
	o.Access = access
	if c.Console.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(c.Console.TLSCert, c.Console.TLSKey)
		if err != nil {
			return fmt.Errorf("console.tls_cert: %w", err)
		}
		o.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	server, err := console.New(o)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "serving the console", "address", consoleAddress(c.Console, listener), "read_only", server.ReadOnly())
	return server.Serve(ctx, listener)
}

// consoleAddress is the address for a browser.
func consoleAddress(c config.Console, listener net.Listener) string {
	switch {
	case c.URL != "":
		return c.URL
	case c.TLSCert != "":
		return "https://" + listener.Addr().String()
	}
	return "http://" + listener.Addr().String()
}

// consoleOptions returns what the console works with. done ends it.
func consoleOptions(ctx context.Context, c config.Config, js jetstream.JetStream, store *records.Store, log *slog.Logger) (o console.Options, done func(), err error) {
	done = func() {}
	mapping, unknown := history.Mapping(ctx, js, c)
	decoder, err := capture.NewDecoder(mapping)
	if err != nil {
		return o, done, err
	}
	if unknown != "" {
		log.WarnContext(ctx, "job mapping not known", "error", unknown)
	}
	book := ledger.NewJetStream(js, ledger.Options{Stream: c.Ledger.Stream})
	deps := ledgerDeps{c: c, js: js, ledger: book, recorder: service.NewRecorder(c, book, newQuietLogger(log))}
	if hasGateway(c) {
		client, err := service.NewGateway(c, readBuild().Version)
		if err != nil {
			return o, done, err
		}
		deps.query, done = client.Query, client.Close
	}
	return console.Options{
		Records: store, Policy: service.Policy(c), Decoder: decoder, Operations: &consoleOps{
			ledgerDeps: deps,
			dlq:        &dlqCmd{c: c, js: js, store: deadletter.Store{JS: js, Stream: c.Jobs.DLQStream}, mapping: mapping, dec: decoder},
		},
		Lag: func(ctx context.Context) (records.Lag, error) {
			return store.Lag(ctx, js, records.SourceLedger, c.Ledger.Stream)
		},
		ReadOnly: c.Console.ReadOnly, URL: c.Console.URL, Version: readBuild().Version,
		AttentionAfter: c.Worker.AttentionAfter, Log: log,
	}, done, nil
}

// newQuietLogger logs errors only: what an act writes is in the ledger.
func newQuietLogger(log *slog.Logger) *slog.Logger {
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

// consoleAccess reads the files that say who may use the console.
func consoleAccess(c config.Console) (a console.Access, err error) {
	a = console.Access{
		IdentityHeader: c.IdentityHeader, GroupsHeader: c.GroupsHeader,
		Viewers: c.Viewers, Operators: c.Operators, Approvers: c.Approvers, Session: c.Session, Idle: c.SessionIdle,
	}
	if o := c.OIDC; o.Issuer != "" {
		a.OIDC = &console.OIDC{
			Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: string(o.ClientSecret), Scopes: o.Scopes,
			NameClaim: o.NameClaim, GroupsClaim: o.GroupsClaim,
		}
	}
	if a.TrustedProxies, err = config.ParseNetworks(c.TrustedProxies); err != nil {
		return a, fmt.Errorf("console.trusted_proxies: %w", err)
	}
	if c.Users != "" {
		if a.Users, err = console.ReadUsers(c.Users); err != nil {
			return a, fmt.Errorf("console.users: %w", err)
		}
	}
	if c.Tokens != "" {
		if a.Tokens, err = console.ReadTokens(c.Tokens); err != nil {
			return a, fmt.Errorf("console.tokens: %w", err)
		}
	}
	return a, nil
}

const readerRetry = 250 * time.Millisecond

// openReader opens the records. It waits for a database that is starting, and for
// the process that makes its tables.
func openReader(ctx context.Context, c config.Config) (*records.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, natsconn.DefaultStartTimeout)
	defer cancel()
	for {
		store, err := records.OpenReader(ctx, string(c.Records.DSN), records.Options{Window: c.Gateway.Window})
		if err == nil || errors.Is(err, records.ErrDSN) {
			return store, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(readerRetry):
		}
	}
}

// demoRoles are the names of the demo's logins, which are their roles.
var demoRoles = []string{"viewer", "operator", "approver"}

// demoConsole serves the console of a demo, with a password for each role that is
// drawn and printed.
func demoConsole(ctx context.Context, w io.Writer, c config.Config, address string, log *slog.Logger) error {
	c.Console = config.Defaults().Console
	listener, err := service.Listen("the console (--listen)", address)
	if err != nil {
		return err
	}
	defer listener.Close()
	access := console.Access{Users: map[string][]byte{}, Operators: []string{"operator"}, Approvers: []string{"approver"}}
	fmt.Fprintf(w, "\nThe console is at %s\n", consoleAddress(c.Console, listener))
	for _, name := range demoRoles {
		password := strings.ToLower(rand.Text()[:10])
		if access.Users[name], err = bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost); err != nil {
			return err
		}
		fmt.Fprintf(w, "  log in as %-9s password %s\n", name, password)
	}
	fmt.Fprintln(w, "It stays until it is interrupted (Ctrl-C).")
	return serveConsole(ctx, c, listener, access, log)
}
