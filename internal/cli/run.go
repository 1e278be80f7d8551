package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/service"
)

func newRunCmd(a *app) *cobra.Command {
	var embedded bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Take jobs from JetStream and capture them",
		Long: `Takes jobs from JetStream, captures each trade once at the gateway and records what
happened. It creates the streams and consumers that are missing and never alters
existing ones.

On SIGTERM or SIGINT it takes no more jobs, finishes the calls in flight within
worker.shutdown_timeout and returns the other jobs to the stream.

With --embedded it also serves the console on console.listen.`,
		Example: `  # against a simulator: capture-worker gateway-sim --listen 127.0.0.1:8700
  export CAPTURE_GATEWAY_URL=http://127.0.0.1:8700/Payments
  export CAPTURE_GATEWAY_USER=016683 CAPTURE_GATEWAY_SECRET_KEY=example-secret-key
  export CAPTURE_NOTIFY_LISTEN=127.0.0.1:8080 CAPTURE_GATEWAY_NOTIFY_URL=http://127.0.0.1:8080/notify
  capture-worker run --embedded`,
		Args: cobra.NoArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd, config.NeedGateway, config.NeedNotifyURL)
			if err != nil {
				return err
			}
			if !embedded { // the server keeps its index in the same heap
				tuneGC(c)
			}
			log := newLogger(c.Log, cmd.ErrOrStderr())
			o := service.Options{Config: c, Version: readBuild().Version, Embedded: embedded, Log: log}
			if embedded {
				if o.Beside, err = consoleBeside(c, log); err != nil {
					return err
				}
			}
			err = runService(cmd.Context(), o)
			if cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				log.Info("stopped before taking jobs", "worker", c.Worker.Name)
				return nil
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&embedded, "embedded", false,
		"also run a JetStream server, at nats.url with its files in nats.store_dir; for a single machine")
	addSettings(cmd)
	return cmd
}

func runService(ctx context.Context, o service.Options) error {
	s, err := service.New(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Run(ctx)
}
