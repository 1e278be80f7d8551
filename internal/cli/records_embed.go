package cli

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/metrics"
	"github.com/capture-worker/capture-worker/internal/records"
)

// recordsFile is the database beside the files of an embedded server.
const recordsFile = "records.db"

// embeddedDSN is where a process that embeds the server keeps its records, "" if
// it is to keep none.
func embeddedDSN(c config.Config) gateway.Secret {
	switch c.Records.DSN {
	case "":
		return gateway.Secret(filepath.Join(c.NATS.StoreDir, recordsFile))
	case config.RecordsOff:
		return ""
	}
	return c.Records.DSN
}

// embedRecords fills the records beside a worker, which waits for none of it:
// what fails here is logged, and the worker works on. stop ends it and waits.
func embedRecords(ctx context.Context, c config.Config, m *metrics.Metrics, log *slog.Logger) (stop func()) {
	if c.Records.DSN = embeddedDSN(c); c.Records.DSN == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		if err := followEmbedded(ctx, c, m, log); err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "records stopped", "error", err)
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// followEmbedded has a connection of its own: the worker's carries jobs.
func followEmbedded(ctx context.Context, c config.Config, m *metrics.Metrics, log *slog.Logger) error {
	nc, err := connect(ctx, c, log)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	store, err := openRecords(ctx, c)
	if err != nil {
		return err
	}
	defer store.Close()
	following, err := newFollower(c, js, store, log)
	if err != nil {
		return err
	}
	follower := records.NewFollower(following)
	gaugeRecords(m, follower)
	return follower.Run(ctx)
}
