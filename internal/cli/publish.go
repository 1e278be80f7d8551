package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/service"
)

// publishRun is one run of publish.
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
	by      string
	reason  string
	trades  *jobfile.Trades
}

const publishLong = `Sends jobs from a file, or from standard input for "-".

CSV has a header that names the columns; trade_id, amount and currency must be
there, order_id, description, authorized_at, authorized_amount, capture_before,
notify_url and capture_id may be; columns of other names are read with --columns. It is
read as spreadsheets write it: any ends of lines, ; or tab between, a decimal
comma (--decimal comma), UTF-16 or another --encoding. JSON is one job on each
line, an array, or printed over several lines. Files packed with gzip or zstd
are unpacked. With jobs.fields or jobs.match JSON is read as the workers read
it, and a row of CSV is published as an event of that shape.

All rows are checked before the first is sent. Bad rows are listed with their
lines; if there is one, nothing is sent without --skip-bad. The sums are
printed. At a terminal the command asks for confirmation of sums above
publish.ask_above.

Sending a row again does not capture twice: the stream recognizes a repeated row
for a short time (ten minutes if capture-worker created the stream), the worker
always. After an interruption, run the same command again.

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
	f.BoolVar(&p.skipBad, "skip-bad", false, "send the good rows even if there are bad ones")
	f.BoolVar(&p.dryRun, "dry-run", false, "check the rows and send nothing")
	f.BoolVar(&p.create, "create", false, "create missing streams and consumers, including the ledger, like run")
	f.BoolVar(&p.yes, "yes", false, "do not ask for confirmation")
	f.StringVar(&p.by, "by", "", "`name` of the operator, if not the user of this machine")
	f.StringVar(&p.reason, "reason", "", "why, for the record of operators' acts")
	addSettings(cmd, "nats", "jobs", "ledger", "publish", "log")
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

// prepare makes the checks that do not need the input.
func (p *publishing) prepare(path string) (err error) {
	if p.options, err = p.file.options(path, p.c.JobMapping()); err != nil {
		return err
	}
	p.options.Note = p.note
	if p.options.Encode, err = encoder(p.c, p.cmd.ErrOrStderr()); err != nil {
		return err
	}
	if err := checkNote("--reason", p.reason); err != nil {
		return err
	}
	if p.by, err = publisher(p.by); err != nil {
		return err
	}
	return checkSubject(p.subject, p.c.Jobs)
}

// encoder returns what writes rows of CSV in the shape of the events that the
// workers read, nil if they read jobs of our own shape. It says once which fields
// are left out.
func encoder(c config.Config, notes io.Writer) (func(capture.Job) (map[string][]string, []byte, error), error) {
	if len(c.Jobs.Fields)+len(c.Jobs.Match) == 0 {
		return nil, nil
	}
	enc, err := capture.NewEncoder(c.JobMapping())
	if err != nil {
		return nil, err
	}
	var once sync.Once
	return func(j capture.Job) (map[string][]string, []byte, error) {
		if left := enc.Unread(j); len(left) > 0 {
			once.Do(func() {
				fmt.Fprintf(notes, "jobs.fields does not read %s: left out of the events\n", strings.Join(left, ", "))
			})
		}
		return enc.Encode(j, messageID(j))
	}, nil
}

// publisher is who publishes: like actor, but a container without names of users
// may publish too.
func publisher(by string) (string, error) {
	name, err := actor(by)
	if by == "" && err != nil {
		return "uid " + strconv.Itoa(os.Getuid()), nil
	}
	return name, err
}

// record records that the good rows of a file are about to be sent.
func (p *publishing) record(ctx context.Context, js jetstream.JetStream, path string, found *jobfile.Found) error {
	file := "standard input"
	if path != "-" {
		file = "file " + filepath.Base(path)
	}
	return recorder(p.c, js).Record(ctx, acts.Act{
		Act: acts.Publish, By: p.by, Reason: p.reason, About: file,
		Detail: fmt.Sprintf("%s to %s: %s", counted(found.Good, "job"), p.subject, &found.Sums),
	})
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
	case found.Read == 0 && p.options.Format == jobfile.FormatNDJSON: // the header of a CSV without rows proves that the file is complete
		return fmt.Errorf("%w, and nothing was sent; is it the right file?", jobfile.ErrNoRows)
	case p.dryRun:
		fmt.Fprintf(out, "%d good, %d bad; nothing was sent (--dry-run)\n", found.Good, found.Bad)
		printRows(out, found)
		return badRows(found)
	case found.Bad > 0 && !p.skipBad:
		return fmt.Errorf("%d of %d rows are bad, and nothing was sent; correct them, or send the good ones with --skip-bad", found.Bad, found.Read-found.Skipped)
	case found.Good == 0:
		fmt.Fprintf(out, "0 sent, %d bad\n", found.Bad)
		printRows(out, found)
		return badRows(found)
	}
	if err := p.confirm(path, found); err != nil {
		return err
	}
	return p.send(ctx, in, path, found)
}

// printRows prints the counts of the file's rows, and the sums.
func printRows(w io.Writer, found *jobfile.Found) {
	fmt.Fprintf(w, "rows: %s\n", found)
}

// rows reads the input again from the start.
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

// note prints a note in the first pass only.
func (p *publishing) note(text string) {
	if !p.noted {
		fmt.Fprintln(p.cmd.ErrOrStderr(), text)
	}
	p.noted = true
}

func (p *publishing) send(ctx context.Context, in *jobfile.Input, path string, found *jobfile.Found) error {
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
	to, err := findTarget(ctx, natsconn.Patient(js, log), p.c, p.subject)
	if errors.Is(err, errNoTarget) {
		err = fmt.Errorf("%w, or add --create", err)
	}
	if err != nil {
		return fmt.Errorf("nothing was sent: %w", natsconn.Explain(conn.Conn, err))
	}
	all, err := p.rows(ctx, in)
	if err == nil {
		err = p.record(ctx, js, path, found)
	}
	if err != nil {
		return fmt.Errorf("nothing was sent: %w", natsconn.Explain(conn.Conn, err))
	}
	step, finish := newProgress(p.cmd.ErrOrStderr(), found.Good, "sending")
	s := &sender{publish: toStream(js, to.stream, to.subject), progress: step}
	err = s.send(ctx, p.trades.Mark(all), p.skipBad)
	finish()
	fmt.Fprintf(p.cmd.OutOrStdout(), "%d sent to %s on %s, %d of them already stored, %d bad\n",
		s.sent.Load(), to.stream, to.subject, s.repeated.Load(), found.Bad)
	printRows(p.cmd.OutOrStdout(), found)
	if err != nil {
		err = natsconn.Explain(conn.Conn, err)
		return fmt.Errorf("%w\n%d of %d rows are stored; run the same command again: the stream recognizes stored rows within %s, the worker always",
			err, s.sent.Load(), found.Good, to.memory.Round(time.Second))
	}
	return badRows(found)
}

// createStreams creates the missing streams and consumers, and never alters
// existing ones.
func (p *publishing) createStreams(ctx context.Context, js jetstream.JetStream, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return service.CreateStreams(ctx, p.c, js, log)
}

// badRows returns the error at the end of a run that skipped bad rows.
func badRows(found *jobfile.Found) error {
	if found.Bad == 0 {
		return nil
	}
	return foundError("found %s, listed above", counted(found.Bad, "bad row"))
}
