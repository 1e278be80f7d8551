package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/checkup"
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
func (a *app) withJetStream(cmd *cobra.Command, use func(context.Context, jetstream.JetStream, config.Config) error, needs ...config.Need) error {
	c, err := a.load(cmd, needs...)
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
	return noStream(c, nc.Conn, natsconn.Explain(nc.Conn, use(cmd.Context(), js, c)))
}

// noStream says what to do where a stream is missing that a command reads.
func noStream(c config.Config, nc *nats.Conn, err error) error {
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	if stream, named := streamIn(c, err); named {
		return fmt.Errorf("there is no stream %s (%s) at %s: no worker has run there yet (`capture-worker run` creates it), or it is another server or account, or the stream is lost: see Backup and restore in docs/operations.md",
			stream.Name, stream.Key, natsconn.Server(nc))
	}
	return err
}

// streamIn is the one of our streams that an error names.
func streamIn(c config.Config, err error) (checkup.Stream, bool) {
	for _, stream := range checkup.StreamsOf(c) {
		// With what follows: a name may be the beginning of another.
		if strings.Contains(err.Error(), "stream "+stream.Name+": ") {
			return stream, true
		}
	}
	return checkup.Stream{}, false
}
