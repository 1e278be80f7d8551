package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/natsconn"
)

// connect connects to NATS as the configuration says. The caller closes.
func connect(ctx context.Context, c config.Config, log *slog.Logger) (*natsconn.Conn, error) {
	return connectWithin(ctx, c, log, natsconn.DefaultStartTimeout)
}

// connectWithin is connect with a bound of its own on the wait for a server
// that does not answer.
func connectWithin(ctx context.Context, c config.Config, log *slog.Logger, bound time.Duration) (*natsconn.Conn, error) {
	n := c.NATS
	return natsconn.Connect(ctx, natsconn.Config{
		URL: n.URL, Context: n.Context, Creds: n.Creds,
		User: n.User, Password: string(n.Password), Token: string(n.Token),
		CA: n.TLSCA, Cert: n.TLSCert, Key: n.TLSKey,
		Name: "capture-worker " + c.Worker.Name, StartTimeout: bound,
	}, log)
}

// withJetStream loads the configuration, connects, and hands over what commands
// need that a person or a script waits for.
func (a *app) withJetStream(cmd *cobra.Command, use func(context.Context, jetstream.JetStream, config.Config) error) error {
	c, err := a.load(cmd)
	if err != nil {
		return err
	}
	nc, err := connect(cmd.Context(), c, newToolLogger(c, cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	return natsconn.Explain(nc.Conn, use(cmd.Context(), js, c))
}
