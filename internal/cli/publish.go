package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/service"
)

// publishing is one run of publish.
type publishing struct {
	cmd     *cobra.Command
	c       config.Config
	file    fileFlags
	options jobfile.Options
	subject string
	skipBad bool
	dryRun  bool
	create  bool
	yes     bool
	noted   bool
	trades  *jobfile.Trades
}

const publishLong = `publish sends jobs from a file, or from standard input for "-".

CSV has a header that names the columns; trade_id, amount and currency must be
there, order_id, description, authorized_at, authorized_amount, capture_before
and notify_url may be; columns of other names are read with --columns. It is
read as spreadsheets write it: any ends of lines, ; or tab between, a decimal
comma (--decimal comma), UTF-16 or another --encoding. JSON is one job on each
line, an array, or printed over several lines. Files packed with gzip or zstd
are unpacked.

Every row is checked before the first is sent. Bad rows are listed with their
lines, and nothing is sent if there is one, unless --skip-bad is given. The sums
are printed; on a terminal publish asks before it sends more than
publish.ask_above.

A repeat does not capture twice: the stream recognises a row that it was sent
a short while ago (ten minutes, where capture-worker created the stream), and
later repeats are recognised by the worker. After an interruption, run the same
command again.

Exit codes: 0 all rows are stored; 1 not all could be sent, or bad rows kept
all from being sent; 2 wrong usage or configuration; 3 there are bad rows, and
the others were sent (--skip-bad) or would be (--dry-run).`

func newPublishCmd(a *app) *cobra.Command {
	p := &publishing{}
	cmd := &cobra.Command{
		Use:   "publish FILE|-",
		Short: "Send capture jobs from a CSV or NDJSON file",
		Long:  publishLong,
		Example: `  capture-worker publish orders.csv --dry-run
  capture-worker publish orders.csv --create
  capture-worker publish versand.csv --decimal comma --columns trade_id=Vorgang,amount=Betrag,currency=Währung
  capture-worker publish - --skip-bad < orders.ndjson`,
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&p.subject, "subject", "capture.jobs.batch", "`subject` to publish to")
	p.file.addFormat(f)
	p.file.add(f)
	f.BoolVar(&p.skipBad, "skip-bad", false, "send the good rows although there are bad ones")
	f.BoolVar(&p.dryRun, "dry-run", false, "check the rows and send nothing")
	f.BoolVar(&p.create, "create", false, "create what is missing of the streams and consumers, the ledger included, as run does")
	f.BoolVar(&p.yes, "yes", false, "do not ask, whatever the sums are")
	addSettings(cmd, "nats", "jobs", "publish", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		c, err := a.load(cmd)
		if err != nil {
			return err
		}
		p.cmd, p.c = cmd, c
		if err := p.prepare(args[0]); err != nil {
			return err
		}
		return p.run(cmd.Context(), args[0])
	})
	return cmd
}

// prepare checks what can be checked before the input is opened.
func (p *publishing) prepare(path string) (err error) {
	if p.options, err = p.file.options(path, p.c.JobMapping()); err != nil {
		return err
	}
	p.options.Note = p.note
	if foreign := len(p.c.Jobs.Fields)+len(p.c.Jobs.Match) > 0; foreign {
		if p.options.Format == jobfile.FormatCSV {
			return usageError("jobs.fields or jobs.match is set, so that workers read events of another shape; publish these as ndjson")
		}
		p.options.Format = jobfile.FormatNDJSON // what CSV becomes, the workers would not read
	}
	return checkSubject(p.subject, p.c.Jobs)
}

func (p *publishing) run(ctx context.Context, path string) error {
	in, err := jobfile.Open(ctx, path, p.cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer in.Close()
	p.trades = jobfile.NewTrades(false)
	found, err := p.trades.CheckAll(func() (jobfile.Rows, error) { return p.rows(ctx, in) }, p.cmd.ErrOrStderr())
	if err != nil {
		return fmt.Errorf("nothing was sent: %w", err)
	}
	out := p.cmd.OutOrStdout()
	switch {
	case found.Read == 0 && p.options.Format == jobfile.FormatNDJSON: // a CSV without rows has its header to prove it is whole
		return fmt.Errorf("%w, and nothing was sent; is it the right file?", jobfile.ErrNoRows)
	case p.dryRun:
		fmt.Fprintf(out, "%d good, %d bad; nothing was sent (--dry-run)\n", found.Good, found.Bad)
		printRows(out, found)
		return badRows(found)
	case found.Bad > 0 && !p.skipBad:
		return fmt.Errorf("%d of %d rows are bad, and nothing was sent; correct them, or send the others with --skip-bad", found.Bad, found.Read-found.Skipped)
	case found.Good == 0:
		fmt.Fprintf(out, "0 sent, %d bad\n", found.Bad)
		printRows(out, found)
		return badRows(found)
	}
	if err := p.confirm(path, found); err != nil {
		return err
	}
	return p.send(ctx, in, found)
}

// printRows says where every row of the file went, and the sums.
func printRows(w io.Writer, found *jobfile.Found) {
	fmt.Fprintf(w, "rows: %s\n", found)
}

// rows reads the input from the start.
func (p *publishing) rows(ctx context.Context, in *jobfile.Input) (jobfile.Rows, error) {
	if err := in.Rewind(); err != nil {
		return nil, err
	}
	all, err := jobfile.Read(in, p.options)
	if err != nil {
		return nil, err
	}
	return jobfile.Interruptible(ctx, all), nil
}

// note prints a remark, in the first pass only.
func (p *publishing) note(text string) {
	if !p.noted {
		fmt.Fprintln(p.cmd.ErrOrStderr(), text)
	}
	p.noted = true
}

func (p *publishing) send(ctx context.Context, in *jobfile.Input, found *jobfile.Found) error {
	log := newToolLogger(p.c, p.cmd.ErrOrStderr())
	conn, err := service.Connect(ctx, p.c, log)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := conn.JetStream()
	if err != nil {
		return err
	}
	if p.create {
		if err := p.createStreams(ctx, js, log); err != nil {
			return fmt.Errorf("nothing was sent: %w", natsconn.Explain(conn.Conn, err))
		}
	}
	to, err := findTarget(ctx, js, p.c, p.subject)
	if errors.Is(err, errNoTarget) {
		err = fmt.Errorf("%w, or add --create", err)
	}
	if err != nil {
		return fmt.Errorf("nothing was sent: %w", natsconn.Explain(conn.Conn, err))
	}
	all, err := p.rows(ctx, in)
	if err != nil {
		return fmt.Errorf("nothing was sent: %w", err)
	}
	step, finish := newProgress(p.cmd.ErrOrStderr(), found.Good, "sending")
	s := &sender{publish: toStream(js, to.stream, to.subject), progress: step}
	err = s.send(ctx, p.trades.Mark(all), p.skipBad)
	finish()
	fmt.Fprintf(p.cmd.OutOrStdout(), "%d sent to %s on %s, %d of them repeated, %d bad\n",
		s.sent.Load(), to.stream, to.subject, s.repeated.Load(), found.Bad)
	printRows(p.cmd.OutOrStdout(), found)
	if err != nil {
		err = natsconn.Explain(conn.Conn, err)
		return fmt.Errorf("%w\n%d of %d rows are stored; run the same command again: within %s the stream recognises them, later the worker does",
			err, s.sent.Load(), found.Good, to.memory.Round(time.Second))
	}
	return badRows(found)
}

// createStreams creates what is missing, and never alters what it finds.
func (p *publishing) createStreams(ctx context.Context, js jetstream.JetStream, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return service.CreateStreams(ctx, p.c, js, log)
}

// badRows is how bad rows that did not stop the work end it.
func badRows(found *jobfile.Found) error {
	if found.Bad == 0 {
		return nil
	}
	return foundError("found %s, see above", counted(found.Bad, "bad row"))
}
