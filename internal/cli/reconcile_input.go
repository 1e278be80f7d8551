package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/internal/service"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

// itemSeq is the input of a batch.
type itemSeq = iter.Seq2[reconcile.Item, error]

// books holds the members of a row in finance's file besides the sum.
type books struct {
	line    int
	orderID string
}

// items returns the input and its number of items, -1 if the number is unknown.
func (r *reconciling) items(ctx context.Context) (items func() itemSeq, total int, closeInput func(), err error) {
	if r.input == "" {
		walk := func() itemSeq { return reconcile.Trades(r.o.ledger.Trades(ctx, ledger.Filter{Since: r.from})) }
		return walk, -1, func() {}, nil
	}
	in, err := jobfile.Open(ctx, r.input, r.cmd.InOrStdin())
	if err != nil {
		return nil, 0, nil, err
	}
	total, err = r.checkInput(ctx, in)
	if err != nil {
		in.Close()
		return nil, 0, nil, err
	}
	return func() itemSeq { return r.expected(ctx, in) }, total, in.Close, nil
}

// checkInput reads the whole file before the first query, lists its bad rows and
// computes its hash.
func (r *reconciling) checkInput(ctx context.Context, in *jobfile.Input) (total int, err error) {
	if err := r.readFlags(); err != nil {
		return 0, err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, in); err != nil {
		return 0, fmt.Errorf("reading the input: %w", err)
	}
	r.print = hex.EncodeToString(sum.Sum(nil))
	if err := r.findOrders(ctx, in); err != nil {
		return 0, err
	}
	r.trades = jobfile.NewTrades(true) // otherwise a double booking would agree
	found, err := r.trades.CheckAll(func() (jobfile.Rows, error) { return r.bookRows(ctx, in) }, r.cmd.ErrOrStderr())
	if err != nil {
		return 0, err
	}
	if found.Good+found.Bad == 0 {
		return 0, fmt.Errorf("%w, and nothing was compared; is it the right file?", jobfile.ErrNoRows)
	}
	if r.bad = found.Bad; found.Bad > 0 && !r.skipBad {
		return 0, fmt.Errorf("%d of %d rows are bad, and nothing was compared; correct them, or compare the good ones with --skip-bad", found.Bad, found.Read-found.Skipped)
	}
	return found.Good, nil
}

// readFlags returns the options for the file. Its columns are those of a job,
// whatever mapping the workers have.
func (r *reconciling) readFlags() error {
	o, err := r.file.options(r.input, capture.Mapping{})
	if err != nil {
		return err
	}
	told := false
	o.Format, o.Books = jobfile.FormatCSV, true
	o.Note = func(text string) {
		if !told {
			fmt.Fprintln(r.cmd.ErrOrStderr(), text)
		}
		told = true
	}
	r.options = o
	return nil
}

// bookRows reads the file again from the start.
func (r *reconciling) bookRows(ctx context.Context, in *jobfile.Input) (jobfile.Rows, error) {
	if err := in.Rewind(); err != nil {
		return nil, err
	}
	all, err := jobfile.Read(in, r.options)
	if err != nil {
		return nil, err
	}
	return jobfile.Interruptible(ctx, r.withTrades(all)), nil
}

// expected returns the items of the good rows.
func (r *reconciling) expected(ctx context.Context, in *jobfile.Input) itemSeq {
	window := r.o.recorder.Policy.OrDefault().Window
	return func(yield func(reconcile.Item, error) bool) {
		all, err := r.bookRows(ctx, in)
		if err != nil {
			yield(reconcile.Item{}, err)
			return
		}
		for row, err := range r.trades.Mark(all) {
			if err == nil && row.Err != nil {
				continue
			}
			item := reconcile.Item{
				TradeID: row.Job.TradeID, Expected: row.Job.Amount, CaptureBefore: row.Job.Deadline(window),
				Tag: books{row.Line, row.Job.OrderID},
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// openJournal opens the progress of an interrupted run, or starts a new one.
func (r *reconciling) openJournal() error {
	question := r.question()
	path := r.state
	if path == "" {
		sum := sha256.Sum256([]byte(question))
		path = filepath.Join(stateDir(), "reconcile-"+hex.EncodeToString(sum[:8])+".ndjson")
	}
	s, err := openJournal(path, journalHeader{Question: question, Begun: time.Now(), Since: r.from}, r.restart)
	if err != nil {
		return err
	}
	r.journal, r.from = s, s.header.Since
	if n := s.done(); n > 0 {
		fmt.Fprintf(r.cmd.ErrOrStderr(), "continuing the interrupted run of %s UTC: %s done\n", s.header.Begun.UTC().Format(time.DateTime), counted(n, "trade"))
	}
	return nil
}

// question identifies the flags and the input, so that a run continues only its own
// progress.
func (r *reconciling) question() string {
	c := r.o.c
	return strings.Join([]string{
		c.NATS.URL, c.NATS.Context, c.Ledger.Stream, c.Gateway.URL, c.Gateway.User,
		r.print, r.since, fmt.Sprint(r.all, r.write, r.skipBad, r.minAge, r.expiring, r.file),
	}, "\n")
}

func stateDir() string {
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "capture-worker")
	}
	return filepath.Join(os.TempDir(), "capture-worker")
}

// maxViolations is the number of violations that are printed; all are counted.
const maxViolations = 20

// auditAll checks every trade of the ledger against the rules, and returns the
// number of violations.
func (r *reconciling) auditAll(ctx context.Context) (int, error) {
	collector := audit.NewCollector(service.Policy(r.o.c), maxViolations)
	step, finish := newProgress(r.cmd.ErrOrStderr(), -1, "auditing")
	defer finish()
	for id, err := range r.o.ledger.Trades(ctx, ledger.Filter{Since: r.from}) {
		if err != nil {
			return 0, err
		}
		trade, err := r.o.ledger.Load(ctx, id)
		if err != nil {
			return 0, err
		}
		collector.Add(id, trade.Events, nil, nil)
		step()
	}
	report := collector.Report()
	w := r.cmd.ErrOrStderr()
	switch {
	case !report.Clean():
		for _, v := range report.Violations {
			fmt.Fprintln(w, v)
		}
		fmt.Fprintf(w, "audit: %s in %s\n", counted(report.ViolationCount, "broken rule"), counted(report.Trades, "trade"))
	case !r.quiet:
		fmt.Fprintf(w, "audit: clean, all %d trades keep the rules\n", report.Trades)
	}
	return report.ViolationCount, nil
}
