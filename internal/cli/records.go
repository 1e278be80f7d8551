package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/records"
	"github.com/capture-worker/capture-worker/internal/service"
)

func newRecordsCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "records",
		Short: "Keep a database of all trades for searches",
		Long: `Follows the ledger and the dead letters, and stores their content in a database
(records.dsn): trades, orders, events, dead letters and operators' actions. The
database is derived from the ledger and can be rebuilt at any time; no decision
about a trade reads it.

It ends on SIGTERM or SIGINT. It also ends if the ledger is not the one that the
database holds, as after a backup was restored: see records rebuild.

Exit codes: 0 good; 1 it failed; 2 wrong usage or configuration; 3 the database
must be rebuilt.`,
		Example: `  capture-worker records
  capture-worker records status
  capture-worker records rebuild`,
		Args: cobra.NoArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd, config.NeedRecords)
			if err != nil {
				return err
			}
			err = service.RunRecords(cmd.Context(), c, readBuild().Version, newLogger(c.Log, cmd.ErrOrStderr()))
			if errors.Is(err, records.ErrRebuild) {
				return foundError("%w", err)
			}
			return err
		}),
	}
	addSettings(cmd, "nats", "jobs", "ledger", "gateway", "worker", "records", "log")
	cmd.AddCommand(newRecordsRebuildCmd(a), newRecordsStatusCmd(a), newRecordsSumsCmd(a))
	return cmd
}

func newRecordsRebuildCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Empty the database and fill it from the ledger",
		Long: `Empties the database of the records, fills it with all that the ledger and the
dead letters hold now, and ends. Stop the process that fills it before: while one
runs, nothing is changed. What has expired from the ledger is not in the database
afterwards; copy the database first if it holds older trades.`,
		Example: "  capture-worker records rebuild",
		Args:    cobra.NoArgs,
	}
	addSettings(cmd, "nats", "jobs", "ledger", "gateway", "records", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
			store, err := service.OpenRecords(ctx, c)
			if err != nil {
				return err
			}
			defer store.Close()
			began := time.Now()
			f, err := service.FollowerConfig(c, js, store, newToolLogger(c, cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			f.Filled = true
			follower := records.NewFollower(f)
			stop := tellProgress(ctx, cmd.ErrOrStderr(), follower)
			err = follower.Rebuild(ctx)
			stop()
			if err == nil {
				err = ctx.Err() // stopped half-way
			}
			if err != nil {
				return fmt.Errorf("rebuilding the records in %s: %w", store.Where(), err)
			}
			place, err := store.Place(ctx, records.SourceLedger)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "the records in %s hold the ledger up to sequence %d (%s)\n",
				store.Where(), place.Applied, time.Since(began).Round(10*time.Millisecond))
			return err
		}, config.NeedRecords)
	})
	return cmd
}

// recordsStatus is the output of records status.
type recordsStatus struct {
	Source  string    `json:"source"`
	Stream  string    `json:"stream"`
	Applied uint64    `json:"applied"`
	Last    uint64    `json:"last"`
	Missing uint64    `json:"missing"`
	AsOf    time.Time `json:"as_of,omitzero"` // when the stream stored the last applied message
	Problem string    `json:"problem,omitempty"`
}

func newRecordsStatusCmd(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how far the database is behind the ledger",
		Long: `Shows up to which sequence the database holds the ledger and the dead letters,
and how many messages are not in it yet.

Exit codes: 0 good; 1 it failed; 2 wrong usage or configuration; 3 the database
must be rebuilt.`,
		Example: "  capture-worker records status\n  capture-worker records status -o json",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`format`: table or json")
	addSettings(cmd, "nats", "jobs", "ledger", "records", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if output != "table" && output != "json" {
			return usageError("--output is %q: must be table or json", output)
		}
		return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
			rows, err := lookAtRecords(ctx, js, c)
			if err != nil {
				return err
			}
			return printRecordsStatus(cmd.OutOrStdout(), rows, output)
		}, config.NeedRecords)
	})
	return cmd
}

func lookAtRecords(ctx context.Context, js jetstream.JetStream, c config.Config) ([]recordsStatus, error) {
	store, err := records.OpenReader(ctx, string(c.Records.DSN), records.Options{})
	if err != nil {
		return nil, fmt.Errorf("records.dsn: %w", err)
	}
	defer store.Close()
	var rows []recordsStatus
	for source, stream := range map[records.Source]string{
		records.SourceLedger: c.Ledger.Stream, records.SourceDeadLetters: c.Jobs.DLQStream, records.SourceActs: c.Jobs.ActsStream,
	} {
		lag, err := store.Lag(ctx, js, source, stream)
		if source != records.SourceLedger && errors.Is(err, jetstream.ErrStreamNotFound) {
			err = nil // nothing was stored there yet
		}
		row := recordsStatus{Source: string(source), Stream: stream, Applied: lag.Applied, Last: lag.Last, Missing: lag.Messages, AsOf: lag.Stored}
		if errors.Is(err, records.ErrRebuild) {
			row.Problem = err.Error()
		} else if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// progressEvery is the interval at which a rebuild reports its progress.
const progressEvery = 2 * time.Second

// tellProgress writes the progress of a rebuild if w is a terminal. stop ends it
// and waits.
func tellProgress(ctx context.Context, w io.Writer, f *records.Follower) (stop func()) {
	if !isTerminal(w) {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				p := f.Progress(records.SourceLedger)
				fmt.Fprintf(w, "sequence %d of %d\n", p.Applied, p.Until)
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func printRecordsStatus(w io.Writer, rows []recordsStatus, output string) error {
	slices.SortFunc(rows, func(a, b recordsStatus) int { return cmp.Compare(b.Source, a.Source) }) // the ledger first, the acts last
	if output == "json" {
		if err := writeJSON(w, rows); err != nil {
			return err
		}
	} else {
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "SOURCE\tSTREAM\tAPPLIED\tLAST\tMISSING\tAS OF (UTC)")
		for _, r := range rows {
			asOf := "-"
			if !r.AsOf.IsZero() {
				asOf = r.AsOf.UTC().Format(time.DateTime)
			}
			fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s\n", r.Source, r.Stream, r.Applied, r.Last, r.Missing, asOf)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if r.Problem != "" {
			return foundError("%s", r.Problem)
		}
	}
	return nil
}
