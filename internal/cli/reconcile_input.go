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

// books is what finance's file says of a trade beside its money.
type books struct {
	line    int
	orderID string
}

// items returns the input, and how many items it has, -1 if that is not
// known.
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

// checkInput reads the whole file before anything is asked, lists its bad rows
// and takes its fingerprint.
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
	r.trades = jobfile.NewTrades(true) // or the money of a double booking would agree
	found, err := r.trades.CheckAll(func() (jobfile.Rows, error) { return r.bookRows(ctx, in) }, r.cmd.ErrOrStderr())
	if err != nil {
		return 0, err
	}
	if found.Good+found.Bad == 0 {
		return 0, fmt.Errorf("%w, and nothing was compared; is it the right file?", jobfile.ErrNoRows)
	}
	if r.bad = found.Bad; found.Bad > 0 && !r.skipBad {
		return 0, fmt.Errorf("%d of %d rows are bad, and nothing was compared; correct them, or compare the others with --skip-bad", found.Bad, found.Read-found.Skipped)
	}
	return found.Good, nil
}

// readFlags says how the file is written. Its columns are those of a job in our
// own shape, whatever the workers read.
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

// bookRows reads the file from the start.
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

// expected makes items of the good rows.
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

// openJournal finds what an interrupted run has done, or starts again.
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
		fmt.Fprintf(r.cmd.ErrOrStderr(), "going on where the run of %s UTC was interrupted: %s done\n", s.header.Begun.UTC().Format(time.DateTime), counted(n, "trade"))
	}
	return nil
}

// question names what is asked, so that a run goes on only with its own work.
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

// maxViolations is how many broken rules are printed; all are counted.
const maxViolations = 20

// auditAll checks every trade of the ledger against the rules, and returns how
// many it found broken.
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
		fmt.Fprintf(w, "audit: clean, every one of %d trades keeps the rules\n", report.Trades)
	}
	return report.ViolationCount, nil
}
