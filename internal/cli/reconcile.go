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

// reconciling is one run of reconcile.
type reconciling struct {
	trades                      *jobfile.Trades // of the input
	file                        fileFlags
	options                     jobfile.Options
	orders                      map[string]string // the trades of the orders in the input that name none
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
	print   string    // of the input's bytes
	from    time.Time // --since, zero where it was not given
	bad     int       // rows of the input that are none
}

const reconcileLong = `Compares what the gateway reports of each trade (Order Query) with the ledger and,
with --input, with what the books of finance expect: a CSV with the columns trade_id,
amount and currency, and optionally order_id and capture_before. Columns of other
names are read with --columns, a decimal comma with --decimal comma. An order_id
alone is enough if one trade of the ledger has it, which reads the whole ledger;
amounts may be missing. A last line with the sum of the others is passed over.

Without --input it looks at the trades of the ledger that have no outcome and at
the parked ones; those that were begun less than --min-age ago are left to their
worker. --all looks at the settled ones too, --since at those with an event since
then (24h, or 2026-11-02T10:00:00Z).

The findings: agreed; not_captured (a failed trade that is still authorized and
can be retried too); not_in_ledger (captured, and our ledger does
not say so); not_at_gateway (in our ledger, not at the gateway); amount_differs;
expiring (not captured, and less than --expiring is left); unknown.

It only reads, unless --write lets it append the outcomes that Order Query
proves. What is done is kept in --state while it runs: interrupted and started
again within twelve hours, it goes on where it was: what had no answer is
asked again. The file is removed when all is asked.

Trades about which the gateway tells nothing are unknown, and it goes on past
them. While the gateway tells nothing about any trade it waits, says so on
standard error, and after --give-up (15m) prints what it has learned, the rest as
unknown, and breaks off. What is done is kept then too.

With --metrics-file the result is written for Prometheus when the run is over, so
that an alert shows a run with differences and one that has not come.

Exit codes: 0 all agreed; 1 it failed or broke off; 2 wrong usage or
configuration; 3 it found differences, bad rows or, with --audit, broken rules.
What --write corrected is no difference.`

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
	f.StringVar(&r.input, "input", "", "`file` with what is expected (CSV), - for standard input; without it the ledger is walked")
	r.file.add(f)
	f.StringVar(&r.since, "since", "", "only trades of the ledger with an event since then: a `time`, or how long ago")
	f.BoolVar(&r.all, "all", false, "settled trades of the ledger too")
	addDuration(f, &r.minAge, "min-age", 10*time.Minute, "leave open trades that were begun more recently to their worker")
	addDuration(f, &r.expiring, "expiring", 72*time.Hour, "what is left of the time to capture when a trade counts as expiring")
	f.BoolVar(&r.write, "write", false, "append the outcomes that Order Query proves to the ledger")
	f.BoolVar(&r.audit, "audit", false, "also check every trade of the ledger against the rules")
	f.StringVarP(&r.output, "output", "o", "table", "`format`: table (differences), csv or json (all)")
	f.BoolVar(&r.verbose, "verbose", false, "all rows in the table")
	f.BoolVar(&r.quiet, "quiet", false, "print nothing where all agrees, for cron")
	f.BoolVar(&r.skipBad, "skip-bad", false, "compare the good rows although there are bad ones")
	f.Float64Var(&r.rate, "rate", 10, "Order Queries per second; 0 is no limit")
	addDuration(f, &r.giveUp, "give-up", reconcile.DefaultBatchGiveUp, "how long to wait for a gateway that gives no useful answers")
	f.IntVar(&r.concurrency, "concurrency", reconcile.DefaultBatchConcurrency, "trades in flight at a time")
	f.StringVar(&r.state, "state", "", "`file` that keeps what is done; by default one of its own for each question, in the user's cache")
	f.StringVar(&r.metrics, "metrics-file", "", "`file` for the textfile collector of the node exporter, such as /var/lib/node_exporter/capture_reconcile.prom")
	f.BoolVar(&r.restart, "restart", false, "forget what an interrupted run has done")
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

// parseSince reads a time, or how long ago it was.
func parseSince(text string, now time.Time) (time.Time, error) {
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
	return time.Time{}, usageError("--since is %q: must be a duration such as 24h or 7d, a day such as 2026-11-02 or a time such as 2026-11-02T10:00:00Z", text)
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
			// What was learned is of use, and what was not is named.
			if _, printErr := r.report(); printErr != nil {
				return printErr
			}
		}
		return r.broken(err)
	}
	// Not after the report: what reads it may end before it is over, and us with
	// it. The next run would print the same findings, and ask nothing.
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

// compare looks at every item that no earlier run has done.
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

// waiting tells that the gateway is waited for, also who reads no progress bar:
// a run that says nothing for a quarter of an hour looks like one that hangs. A
// gateway that comes and goes is reported once in --give-up.
func (r *reconciling) waiting() func(since, until time.Time) {
	var next time.Time
	return func(since, until time.Time) {
		if since.Before(next) {
			return
		}
		next = until
		ownLine(r.cmd.ErrOrStderr(), fmt.Sprintf(
			"the gateway gives no useful answers since %s UTC: waiting for it until %s at most (--give-up %s); an interruption keeps what is done",
			clockTime(since), clockTime(until), config.FormatDuration(r.giveUp)))
	}
}

func clockTime(t time.Time) string { return t.UTC().Format(time.TimeOnly) }

// selects picks the trades of a ledger walk that the gateway is asked about.
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

// broken says how to go on.
func (r *reconciling) broken(err error) error {
	if errors.Is(err, reconcile.ErrInputChanged) {
		return fmt.Errorf("%w\nstart again with --restart", err)
	}
	what := err.Error()
	if errors.Is(err, context.Canceled) {
		what = "interrupted"
	}
	return fmt.Errorf("%s; %s done; start it again with the same flags to go on (within twelve hours, from %s)", what, counted(r.journal.done(), "trade"), r.journal.path)
}

// verdict turns what was found into the exit code.
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
