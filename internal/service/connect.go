package service

import (
	"context"
	"log/slog"
	"time"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/natsconn"
)

// Connect connects to NATS as configured. The caller closes the connection.
func Connect(ctx context.Context, c config.Config, log *slog.Logger) (*natsconn.Conn, error) {
	return ConnectWithin(ctx, c, log, natsconn.DefaultStartTimeout)
}

// ConnectWithin is Connect with its own limit on the wait for a server that does
// not answer.
func ConnectWithin(ctx context.Context, c config.Config, log *slog.Logger, bound time.Duration) (*natsconn.Conn, error) {
	n := c.NATS
	return natsconn.Connect(ctx, natsconn.Config{
		URL: n.URL, Context: n.Context, Creds: n.Creds,
		User: n.User, Password: string(n.Password), Token: string(n.Token),
		CA: n.TLSCA, Cert: n.TLSCert, Key: n.TLSKey,
		InboxPrefix: inboxPrefix(c), Source: c.Origin("nats.url").String(),
		Name: "capture-worker " + c.Worker.Name, StartTimeout: bound,
	}, log)
}

// inboxPrefix is "" for the default, so that a context may bring its own.
func inboxPrefix(c config.Config) string {
	if c.Origin("nats.inbox_prefix").From == config.FromDefault {
		return ""
	}
	return c.NATS.InboxPrefix
}
