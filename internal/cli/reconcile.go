package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/reconcile"
)

// reconcileRun is one run of reconcile.
type reconciling struct {
	trades                      *jobfile.Trades // of the input
	file                        fileFlags
	options                     jobfile.Options
	orders                      map[string]string // the trades of input rows that have an order only
	input, since, output, state string
	metrics                     string
	all, write, audit           bool
	verbose, quiet, restart     bool
	skipBad                     bool
	expiring, minAge, giveUp    time.Duration
	rate                        float64
	concurrency                 int

	cmd     *cobra.Command
	o       *ledgerDeps
	journal *journal
	print   string    // hash of the input
	from    time.Time // --since, zero if it was not given
	bad     int       // bad rows of the input
}

const reconcileLong = `Compares the state of each trade at the gateway (Order Query) with the ledger
and, with --input, with finance's books: a CSV with the columns trade_id, amount
and currency, and optionally order_id and capture_before. Use --columns for
other names, --decimal comma for a decimal comma. A row with an order_id only
needs exactly one trade of that order in the ledger; to find it, the whole
ledger is read. Amounts may be missing. A last line with the total is skipped.

Without --input it compares the open and the parked trades of the ledger, except
those that were begun less than --min-age ago. --all adds the settled trades;
--since selects trades with an event since then (24h, or 2026-11-02T10:00:00Z).

The findings: agreed; not_captured (also a failed trade that is still authorized
and can be retried); not_in_ledger (captured, but not in our ledger);
not_at_gateway (in our ledger, but not at the gateway); amount_differs; expiring
(not captured, and less than --expiring is left); unknown.

It only reads, except with --write, which appends the outcomes that Order Query
proves. Progress is stored in --state: if an interrupted run is started again
within twelve hours, it continues, and asks again about trades without an
answer. The file is removed at the end.

A trade without a useful answer is unknown. While the gateway gives no useful
answer about any trade, the run waits and reports that on standard error. After
--give-up (15m) it prints its findings, with the remaining trades as unknown,
and ends; its progress is kept.

With --metrics-file the result is written for Prometheus when the run is over, so
that an alert shows a run with differences and one that has not come.

Exit codes: 0 all agreed; 1 it failed or broke off; 2 wrong usage or
configuration; 3 it found differences, bad rows or, with --audit, broken rules.
A difference that --write corrected does not count.`

func newReconcileCmd(a *app) *cobra.Command {
	r := &reconciling{}
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare the gateway, the ledger and finance's books",
		Long:  reconcileLong,
		Example: `  capture-worker reconcile
  capture-worker reconcile --input books.csv -o csv
  capture-worker reconcile --since 24h --all --audit
  capture-worker reconcile --write --quiet`,
		Args: cobra.NoArgs,
	}
	r.flags(cmd)
	addSettings(cmd)
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		r.cmd = cmd
		if err := r.check(); err != nil {
			return err
		}
		return a.withLedger(cmd, func(ctx context.Context, o *ledgerDeps) error {
			r.o = o
			return r.run(ctx)
		}, config.NeedGateway)
	})
	return cmd
}

func (r *reconciling) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.input, "input", "", "`file` with the expected captures (CSV), - for standard input; without it the trades come from the ledger")
	r.file.add(f)
	f.StringVar(&r.since, "since", "", "only trades of the ledger with an event since this `time`, or for a duration")
	f.BoolVar(&r.all, "all", false, "also the settled trades of the ledger")
	addDuration(f, &r.minAge, "min-age", 10*time.Minute, "skip open trades that were begun more recently")
	addDuration(f, &r.expiring, "expiring", 72*time.Hour, "remaining time to capture from which a trade counts as expiring")
	f.BoolVar(&r.write, "write", false, "append the outcomes that Order Query proves to the ledger")
	f.BoolVar(&r.audit, "audit", false, "also check every trade of the ledger against the rules")
	f.StringVarP(&r.output, "output", "o", "table", "`format`: table (differences), csv or json (all)")
	f.BoolVar(&r.verbose, "verbose", false, "all trades in the table")
	f.BoolVar(&r.quiet, "quiet", false, "print nothing if all agree, for cron")
	f.BoolVar(&r.skipBad, "skip-bad", false, "compare the good rows even if there are bad ones")
	f.Float64Var(&r.rate, "rate", 10, "Order Queries per second; 0 is no limit")
	addDuration(f, &r.giveUp, "give-up", reconcile.DefaultBatchGiveUp, "longest wait for a gateway that gives no useful answers")
	f.IntVar(&r.concurrency, "concurrency", reconcile.DefaultBatchConcurrency, "trades in flight at a time")
	f.StringVar(&r.state, "state", "", "`file` with the progress; default: a file in the user's cache, separate for each set of flags and input")
	f.StringVar(&r.metrics, "metrics-file", "", "`file` for the textfile collector of the node exporter, such as /var/lib/node_exporter/capture_reconcile.prom")
	f.BoolVar(&r.restart, "restart", false, "discard the progress of an interrupted run")
}

func (r *reconciling) check() error {
	switch {
	case r.input != "" && (r.since != "" || r.all):
		return usageError("--input names the trades; --since and --all select them from the ledger: use one or the other")
	case r.rate < 0 || r.concurrency < 1 || r.concurrency > 1000:
		return usageError("--rate must not be negative, --concurrency must be from 1 to 1000")
	case r.expiring < 0 || r.minAge < 0:
		return usageError("--expiring and --min-age must not be negative")
	case r.giveUp <= 0:
		return usageError("--give-up must be above zero")
	}
	if err := checkOutput(r.output); err != nil {
		return err
	}
	var err error
	r.from, err = parseSince(r.since, time.Now())
	return err
}

// parseSince reads the value of --since.
func parseSince(text string, now time.Time) (time.Time, error) {
	return parseTime("--since", text, now)
}

// parseTime reads a time, or how long ago it was.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := config.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError("%s is %q: must be a duration such as 24h or 7d, a day such as 2026-11-02 or a time such as 2026-11-02T10:00:00Z", flag, text)
}

func (r *reconciling) run(ctx context.Context) error {
	items, total, closeInput, err := r.items(ctx)
	if err != nil {
		return err
	}
	defer closeInput()
	if err := r.openJournal(); err != nil {
		return err
	}
	defer r.journal.close()
	if err := r.compare(ctx, items(), total); err != nil {
		if errors.Is(err, reconcile.ErrGatewayDown) {
			// The report has the findings so far, and names the trades without one.
			if _, printErr := r.report(); printErr != nil {
				return printErr
			}
		}
		return r.broken(err)
	}
	// Before the report: the reader of a pipe may end early, which ends this
	// process too. The next run would then print the same findings without asking.
	r.journal.remove()
	found, err := r.report()
	if err != nil {
		return err
	}
	broken := 0
	if r.audit {
		if broken, err = r.auditAll(ctx); err != nil {
			return err
		}
	}
	if r.metrics != "" {
		if err := writeMetrics(r.metrics, found, r.bad, broken, time.Now()); err != nil {
			return err
		}
	}
	return r.verdict(found, broken)
}

// compare processes every item that no earlier run has done.
func (r *reconciling) compare(ctx context.Context, items itemSeq, total int) error {
	batch := reconcile.Batch{
		Resolver:    &reconcile.Resolver{Recorder: r.o.recorder, Query: r.o.query},
		UpdateKnown: r.write, Select: r.selects(), Concurrency: r.concurrency, Rate: r.rate, Expiring: r.expiring,
		GiveUp: r.giveUp, Waiting: r.waiting(),
	}
	step, finish := newProgress(r.cmd.ErrOrStderr(), total, "asking")
	defer finish()
	for range r.journal.done() {
		step()
	}
	cursor := r.journal.cursor
	for v, err := range batch.Run(ctx, items, &cursor) {
		if err != nil {
			return err
		}
		if err := r.journal.add(rowOf(v)); err != nil {
			return err
		}
		cursor.Done(v)
		step()
	}
	return nil
}

// waiting reports that the run waits for the gateway, also if there is no progress
// bar: otherwise a run without output for a quarter of an hour would look stuck.
// Repeated outages are reported once per --give-up.
func (r *reconciling) waiting() func(since, until time.Time) {
	var next time.Time
	return func(since, until time.Time) {
		if since.Before(next) {
			return
		}
		next = until
		ownLine(r.cmd.ErrOrStderr(), fmt.Sprintf(
			"the gateway has given no useful answers since %s UTC: waiting until %s at most (--give-up %s); progress is kept",
			clockTime(since), clockTime(until), config.FormatDuration(r.giveUp)))
	}
}

func clockTime(t time.Time) string { return t.UTC().Format(time.TimeOnly) }

// selects reports whether the gateway is asked about a trade of the ledger.
func (r *reconciling) selects() func(reconcile.Item, capture.State) bool {
	if r.input != "" || r.all {
		return nil
	}
	youngest := r.o.recorder.Now().Add(-r.minAge)
	return func(_ reconcile.Item, s capture.State) bool {
		if s.Outcome == nil {
			return r.minAge == 0 || s.OpenedAt.Before(youngest)
		}
		return s.Phase == capture.PhaseParked && !s.Dismissed
	}
}

// broken returns the error of an interrupted run, with how to continue.
func (r *reconciling) broken(err error) error {
	if errors.Is(err, reconcile.ErrInputChanged) {
		return fmt.Errorf("%w\nstart again with --restart", err)
	}
	what := err.Error()
	if errors.Is(err, context.Canceled) {
		what = "interrupted"
	}
	return fmt.Errorf("%s; %s done; run it again with the same flags within twelve hours to continue (state in %s)", what, counted(r.journal.done(), "trade"), r.journal.path)
}

// verdict returns the error, and so the exit code, for the findings.
func (r *reconciling) verdict(found *summary, broken int) error {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{found.open(), "difference"}, {r.bad, "bad row"}, {broken, "broken rule"}} {
		if p.n > 0 {
			parts = append(parts, counted(p.n, p.what))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return foundError("found %s", strings.Join(parts, ", "))
}
