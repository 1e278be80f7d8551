package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
	_ "time/tzdata" // the container image has no time zones

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/export"
	"github.com/capture-worker/capture-worker/internal/printable"
	"github.com/capture-worker/capture-worker/internal/records"
	"github.com/capture-worker/capture-worker/internal/service"
)

// exporting is one run of export.
type exporting struct {
	periodFlags
	format, output string
	period         export.Period
}

// periodFlags select outcomes by time: a month, or days.
type periodFlags struct{ month, from, to, zone, by string }

func (p *periodFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.month, "month", "", "the `month`, such as 2026-11")
	f.StringVar(&p.from, "from", "", "the first `day`, such as 2026-11-01, instead of a month")
	f.StringVar(&p.to, "to", "", "the last `day`, included")
	f.StringVar(&p.zone, "timezone", "UTC", "time `zone` in which days begin, such as Europe/Amsterdam")
	f.StringVar(&p.by, "by", string(records.ByPaid), "`time` by which a trade belongs to a day: paid or learned")
}

func (p *periodFlags) period() (period export.Period, err error) {
	if by := records.Clock(p.by); by != records.ByPaid && by != records.ByLearned {
		return period, usageError("--by is %q: must be paid (when the gateway took the money) or learned (when the ledger recorded it)", p.by)
	}
	zone, err := time.LoadLocation(p.zone)
	if err != nil || p.zone == "" || p.zone == "Local" {
		return period, usageError("--timezone is %q: must be the name of a time zone, such as Europe/Amsterdam", p.zone)
	}
	switch {
	case p.month != "" && (p.from != "" || p.to != ""):
		return period, usageError("--month is the whole period; --from and --to are given instead of it")
	case p.month != "":
		period, err = export.Month(p.month, zone)
	case p.from != "" && p.to != "":
		period, err = export.Days(p.from, p.to, zone)
	default:
		return period, usageError("--month, or --from and --to, is required")
	}
	if err != nil {
		return period, usageError("%w", err)
	}
	return period, nil
}

const exportLong = `Writes every captured, failed and parked trade of a month, or of some days, with
what the ledger holds about it: order, sum, settlement, rate, times, ids, worker,
corrections. Totals for each day and currency are in a second file, or in the
workbook. The columns are described in docs/books.md.

It reads the records (records.dsn) and needs neither NATS nor the gateway.
Without records it reads the whole ledger into a temporary database beside the
output, which takes some minutes for a million trades.

A captured trade belongs to the day on which the gateway says that it was paid
(--by paid; if the gateway told no time, as for most captures, the day on which
the outcome was written) or to the day on which the outcome was written (--by
learned). Failed and parked trades belong to the day of their outcome.

Exit codes: 0 good; 1 it failed; 2 wrong usage or configuration.`

func newExportCmd(a *app) *cobra.Command {
	e := &exporting{}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write a month's trades for finance, with totals",
		Long:  exportLong,
		Example: `  capture-worker export --month 2026-11 --timezone Europe/Amsterdam
  capture-worker export --month 2026-11 --timezone Europe/Amsterdam --format xlsx
  capture-worker export --from 2026-11-01 --to 2026-11-14 --by learned --format parquet
  capture-worker export --month 2026-11 --output -`,
		Args: cobra.NoArgs,
	}
	e.periodFlags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&e.format, "format", string(export.CSV), "`format`: csv, xlsx or parquet")
	f.StringVar(&e.output, "output", "", "`file` to write; - is standard output, without totals (default captures-PERIOD.FORMAT)")
	addSettings(cmd, "nats", "ledger", "gateway", "records", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if err := e.check(); err != nil {
			return err
		}
		c, err := a.load(cmd)
		if err != nil {
			return err
		}
		if service.HasRecords(c) {
			return e.fromRecords(cmd, c)
		}
		return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
			return e.fromLedger(ctx, cmd, js, c)
		})
	})
	return cmd
}

func (e *exporting) check() (err error) {
	if !slices.Contains(export.Formats(), export.Format(e.format)) {
		return usageError("--format is %q: must be csv, xlsx or parquet", e.format)
	}
	if e.period, err = e.periodFlags.period(); err != nil {
		return err
	}
	e.output = cmp.Or(e.output, "captures-"+e.period.Name+"."+e.format)
	return nil
}

func (e *exporting) fromRecords(cmd *cobra.Command, c config.Config) error {
	store, err := records.OpenReader(cmd.Context(), string(c.Records.DSN), records.Options{})
	if err != nil {
		return fmt.Errorf("records.dsn: %w", err)
	}
	return errors.Join(e.run(cmd.Context(), cmd, store, "records in "+store.Where()), store.Close())
}

func (e *exporting) fromLedger(ctx context.Context, cmd *cobra.Command, js jetstream.JetStream, c config.Config) error {
	fmt.Fprintln(cmd.ErrOrStderr(), "records.dsn is not set: reading the whole ledger")
	dir := "" // the system's, as the output has no folder
	if e.output != "-" {
		dir = filepath.Dir(e.output)
	}
	store, remove, err := service.TemporaryRecords(ctx, c, js, dir)
	if err != nil {
		return err
	}
	return errors.Join(e.run(ctx, cmd, store, "ledger"), remove())
}

func (e *exporting) run(ctx context.Context, cmd *cobra.Command, store *records.Store, source string) error {
	o := export.Options{
		Period: e.period, By: records.Clock(e.by), Version: readBuild().Version, Source: source, Now: time.Now(),
	}
	format, report := export.Format(e.format), cmd.OutOrStdout()
	var r export.Result
	var err error
	if e.output == "-" {
		report = cmd.ErrOrStderr()
		r, err = export.Write(ctx, store, o, format, printable.Unwrap(cmd.OutOrStdout()), nil, "") // may be binary
	} else {
		r, err = export.ToFiles(ctx, store, o, format, e.output)
	}
	if err != nil {
		return err
	}
	if !r.About.CoversPeriod() {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: the last event that was read, sequence %d, was stored %s, before the period ends: outcomes may be missing\n",
			o.Source, r.About.AsOf.Applied, storedWhen(r.About.AsOf))
	}
	return e.report(report, r)
}

func storedWhen(p records.Place) string {
	if p.Stored.IsZero() {
		return "never"
	}
	return "at " + p.Stored.UTC().Format(time.RFC3339)
}

// report prints the totals of the whole period and the files.
func (e *exporting) report(w io.Writer, r export.Result) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "OUTCOME\tWHAT\tCURRENCY\tTRADES\tAMOUNT")
	for _, total := range r.Totals {
		if total.Day == "" {
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", total.Outcome, total.What, orDash(total.Currency), total.Trades, orDash(total.Amount))
		}
	}
	if err := t.Flush(); err != nil || e.output == "-" {
		return err
	}
	for _, name := range export.Files(export.Format(e.format), e.output) {
		if _, err := fmt.Fprintf(w, "wrote %s\n", name); err != nil {
			return err
		}
	}
	return nil
}
