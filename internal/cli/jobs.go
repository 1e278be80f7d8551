package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/jobfile"
)

func newJobsCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "jobs",
		Short:   "Test how events are read as jobs",
		Example: "  capture-worker jobs try event.json --config capture.yaml",
		Args:    cobra.NoArgs,
		RunE:    chooseOne,
	}
	cmd.AddCommand(newJobsTryCmd(a))
	return cmd
}

// tryRun is one run of jobs try.
type trying struct {
	cmd    *cobra.Command
	file   fileFlags
	output string
	window time.Duration
}

func newJobsTryCmd(a *app) *cobra.Command {
	t := &trying{}
	cmd := &cobra.Command{
		Use:   "try FILE|-",
		Short: "Show the job that each event or row would become",
		Long: `Reads events or rows like a worker with this configuration, and publishes
nothing. For each it shows the trade, the order, the amount, the deadline for
capture calls, the cleaned fields and the unread members; or why it is not a
valid job; or the condition of jobs.match that does not select it. The sums per
currency follow at the end.

A file is read as publish reads it. Write an event with headers, such as a
CloudEvent in binary mode, as {"headers": {"ce-type": "…"}, "body": {…}}.

Exit codes: 0 every event is a job or is passed over; 1 it failed; 2 wrong usage
or configuration; 3 there are events or rows that are no jobs.`,
		Example: `  capture-worker jobs try event.json --config capture.yaml
  capture-worker jobs try versand.csv --decimal comma --columns trade_id=Vorgang,amount=Betrag,currency=Währung
  nats stream get ORDERS 4 --json | jq -r .data | base64 -d | capture-worker jobs try -`,
		Args: cobra.ExactArgs(1),
	}
	t.file.addFormat(cmd.Flags())
	t.file.add(cmd.Flags())
	cmd.Flags().StringVarP(&t.output, "output", "o", "text", "`format`: text or ndjson")
	addSettings(cmd, "jobs", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		c, err := a.load(cmd)
		if err != nil {
			return err
		}
		if t.output != "text" && t.output != "ndjson" {
			return usageError("--output is %q: must be text or ndjson", t.output)
		}
		t.cmd, t.window = cmd, c.Gateway.Window
		o, err := t.file.options(args[0], c.JobMapping())
		if err != nil {
			return err
		}
		if o.Encode, err = encoder(c, cmd.ErrOrStderr()); err != nil {
			return err
		}
		return t.run(cmd.Context(), args[0], o)
	})
	return cmd
}

// tried counts the results.
type tried struct {
	jobs, passed, refused, skipped int
	sums                           jobfile.Sums
}

func (t *trying) run(ctx context.Context, path string, o jobfile.Options) error {
	in, err := jobfile.Open(ctx, path, t.cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer in.Close()
	out := t.cmd.OutOrStdout()
	o.Note = func(text string) { fmt.Fprintln(t.cmd.ErrOrStderr(), text) }
	o.Enveloped = true
	all, err := jobfile.Read(in, o)
	if err != nil {
		return err
	}
	var n tried
	for row, err := range jobfile.Interruptible(ctx, all) {
		if err != nil {
			return err
		}
		if err := t.show(out, row, &n); err != nil {
			return err
		}
	}
	read := n.jobs + n.passed + n.refused + n.skipped
	if read == 0 {
		return jobfile.ErrNoRows
	}
	sums := ""
	if !n.sums.Empty() {
		sums = "; " + n.sums.String()
	}
	to := out
	if t.output == "ndjson" {
		to = t.cmd.ErrOrStderr()
	}
	fmt.Fprintf(to, "%d read: %d would be captured, %d passed over by jobs.match, %d refused, %d skipped%s\n", read, n.jobs, n.passed, n.refused, n.skipped, sums)
	if n.refused > 0 {
		return foundError("found %s", counted(n.refused, "event or row that is not a job"))
	}
	return nil
}

// maxUnread is the number of unread members shown on a line.
const maxUnread = 8

// attempted is the result for one event.
type attempted struct {
	Place    string       `json:"place"`
	Becomes  string       `json:"becomes"` // job, passed_over, refused, skipped
	Why      string       `json:"why,omitempty"`
	Job      *capture.Job `json:"job,omitempty"`
	Deadline time.Time    `json:"deadline,omitzero"`
	Unread   []string     `json:"unread,omitempty"`
}

func (t *trying) show(out io.Writer, row jobfile.Row, n *tried) error {
	a := attempted{Place: row.Place()}
	_, skipped := errors.AsType[*jobfile.SkipError](row.Err)
	switch {
	case row.Err == nil:
		a.Becomes, a.Job, a.Deadline, a.Unread = "job", &row.Job, row.Job.Deadline(t.window), row.Unread
		n.jobs++
		n.sums.Add(row.Job.Amount, 1)
	case errors.Is(row.Err, capture.ErrNotOurs):
		a.Becomes, a.Why = "passed_over", row.Err.Error()
		n.passed++
	case skipped:
		a.Becomes, a.Why = "skipped", row.Err.Error()
		n.skipped++
	default:
		a.Becomes, a.Why = "refused", jobfile.Reason(row.Err)
		n.refused++
	}
	if t.output == "ndjson" {
		return json.NewEncoder(out).Encode(a)
	}
	_, err := fmt.Fprintln(out, a.text())
	return err
}

// text returns one line about an event.
func (a attempted) text() string {
	if a.Job == nil {
		return fmt.Sprintf("%s: %s: %s", a.Place, map[string]string{"passed_over": "passed over", "refused": "refused", "skipped": "skipped"}[a.Becomes], a.Why)
	}
	line := fmt.Sprintf("%s: would capture %s of trade %s", a.Place, a.Job.Amount, a.Job.TradeID)
	if a.Job.OrderID != "" {
		line += fmt.Sprintf(" for order %q", a.Job.OrderID)
	}
	if a.Job.CaptureID != "" {
		line += fmt.Sprintf(", capture_id %q", a.Job.CaptureID)
	}
	if a.Deadline.IsZero() {
		line += ", no deadline known"
	} else {
		line += ", no capture call from " + a.Deadline.UTC().Format(time.DateTime) + " UTC on"
	}
	if !a.Job.AuthorizedAmount.IsZero() {
		line += fmt.Sprintf(", authorized %s", a.Job.AuthorizedAmount)
	}
	line += fmt.Sprintf(", description %q", a.Job.Description)
	if a.Job.Cleaned != "" {
		line += "; cleaned: " + a.Job.Cleaned
	}
	if n := len(a.Unread); n > 0 {
		line += "; not read: " + strings.Join(a.Unread[:min(n, maxUnread)], ", ")
		if n > maxUnread {
			line += fmt.Sprintf(" and %d more", n-maxUnread)
		}
	}
	return line
}
