package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/service"
)

// publishing is one run of publish.
type publishing struct {
	cmd     *cobra.Command
	c       config.Config
	dec     *capture.Decoder
	format  string
	subject string
	skipBad bool
	dryRun  bool
	create  bool
	noted   bool
	trades  *trades
}

const publishLong = `publish sends jobs from a file, or from standard input for "-".

CSV has a header that names the columns; trade_id, amount and currency must be
there, order_id, description, authorized_at, authorized_amount, capture_before
and notify_url may be. NDJSON has one job, as JSON, on each line.

Every row is checked before the first is sent. Bad rows are listed with their
lines, and nothing is sent if there is one, unless --skip-bad is given.

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
  capture-worker publish - --skip-bad < orders.ndjson`,
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&p.subject, "subject", "capture.jobs.batch", "`subject` to publish to")
	f.StringVar(&p.format, "format", formatAuto, "`format` of the input: auto, csv or ndjson")
	f.BoolVar(&p.skipBad, "skip-bad", false, "send the good rows although there are bad ones")
	f.BoolVar(&p.dryRun, "dry-run", false, "check the rows and send nothing")
	f.BoolVar(&p.create, "create", false, "create the streams and the consumer where they are missing, as run does")
	addSettings(cmd, "nats", "jobs", "log")
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
func (p *publishing) prepare(path string) error {
	foreign := len(p.c.Jobs.Fields)+len(p.c.Jobs.Match) > 0
	switch p.format {
	case formatAuto:
		p.format = formatOf(path)
	case formatCSV, formatNDJSON:
	default:
		return usageError("--format is %q: must be auto, csv or ndjson", p.format)
	}
	if foreign && p.format == formatCSV {
		return usageError("jobs.fields or jobs.match is set, so that workers read events of another shape; publish these as ndjson")
	}
	if foreign {
		p.format = formatNDJSON // what CSV becomes, the workers would not read
	}
	var err error
	p.dec, err = capture.NewDecoder(p.c.JobMapping())
	if err != nil {
		return err
	}
	return checkSubject(p.subject, p.c.Jobs)
}

func (p *publishing) run(ctx context.Context, path string) error {
	in, err := openInput(ctx, path, p.cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer in.close()
	p.trades = newTrades(filterBits, maxWatched)
	found, err := p.trades.checkAll(func() (rows, error) { return p.rows(ctx, in) }, p.cmd.ErrOrStderr())
	if err != nil {
		return fmt.Errorf("nothing was sent: %w", err)
	}
	switch {
	case found == (tally{}) && p.format == formatNDJSON: // a CSV without rows has its header to prove it is whole
		return fmt.Errorf("%w, and nothing was sent; is it the right file?", errNoRows)
	case p.dryRun:
		fmt.Fprintf(p.cmd.OutOrStdout(), "%d good, %d bad; nothing was sent (--dry-run)\n", found.good, found.bad)
		return found.asError()
	case found.bad > 0 && !p.skipBad:
		return fmt.Errorf("%d of %d rows are bad, and nothing was sent; correct them, or send the others with --skip-bad", found.bad, found.good+found.bad)
	case found.good == 0:
		fmt.Fprintf(p.cmd.OutOrStdout(), "0 sent, %d bad\n", found.bad)
		return found.asError()
	}
	return p.send(ctx, in, found)
}

// rows begins to read the input anew.
func (p *publishing) rows(ctx context.Context, in *input) (rows, error) {
	if err := in.rewind(); err != nil {
		return nil, err
	}
	all, err := readRows(in, p.format, p.dec, p.note)
	if err != nil {
		return nil, err
	}
	return interruptible(ctx, all), nil
}

// note tells of something odd, in the first pass only.
func (p *publishing) note(text string) {
	if !p.noted {
		fmt.Fprintln(p.cmd.ErrOrStderr(), text)
	}
	p.noted = true
}

func (p *publishing) send(ctx context.Context, in *input, found tally) error {
	conn, err := service.Connect(ctx, p.c, newToolLogger(p.c, p.cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := conn.JetStream()
	if err != nil {
		return err
	}
	to, err := findTarget(ctx, js, p.c, p.subject, p.create)
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
	step, finish := newProgress(p.cmd.ErrOrStderr(), found.good, "sending")
	s := &sender{publish: toStream(js, to.stream, to.subject), progress: step}
	err = s.send(ctx, p.trades.mark(all), p.skipBad)
	finish()
	fmt.Fprintf(p.cmd.OutOrStdout(), "%d sent to %s on %s, %d of them repeated, %d bad\n",
		s.sent.Load(), to.stream, to.subject, s.repeated.Load(), found.bad)
	if err != nil {
		err = natsconn.Explain(conn.Conn, err)
		return fmt.Errorf("%w\n%d of %d rows are stored; run the same command again: within %s the stream recognises them, later the worker does",
			err, s.sent.Load(), found.good, to.memory.Round(time.Second))
	}
	return found.asError()
}

// asError is how bad rows that did not stop the work end it.
func (t tally) asError() error {
	if t.bad == 0 {
		return nil
	}
	return foundError("found %s, see above", counted(t.bad, "bad row"))
}
