package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/preflight"
	"github.com/capture-worker/capture-worker/internal/service"
)

// withJetStream loads the configuration, connects, and calls use.
func (a *app) withJetStream(cmd *cobra.Command, use func(context.Context, jetstream.JetStream, config.Config) error, needs ...config.Need) error {
	c, err := a.load(cmd, needs...)
	if err != nil {
		return err
	}
	log := newToolLogger(c, cmd.ErrOrStderr())
	nc, err := service.Connect(cmd.Context(), c, log)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	return noStream(c, nc.Conn, natsconn.Explain(nc.Conn, use(cmd.Context(), natsconn.Patient(js, log), c)))
}

// noStream completes the error of a missing stream with what to do.
func noStream(c config.Config, nc *nats.Conn, err error) error {
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	if stream, named := preflight.StreamInError(c, err); named {
		return fmt.Errorf("there is no stream %s (%s) at %s: no worker has run there yet (`capture-worker run` creates it), or this is another server or account, or the stream is lost (see Backup and restore in docs/operations.md)",
			stream.Name, stream.Key, natsconn.Server(nc))
	}
	return err
}
