package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/jobfile"
)

// republishing is one run of dlq republish.
type republishing struct {
	fixed, subject, reason, by string
	bare, again, dryRun        bool

	dlq     *dlqCmd
	out     io.Writer
	jobs    []fixedJob // of --fixed
	targets map[string]target
}

const republishLong = `Publishes the jobs of dead letters again. With --fixed the file holds the
corrected jobs, one for each SEQ and in that order: JSON objects one after the
other, or CSV with a header. Without it each job is published as received, for
when the cause is fixed, such as a wrong jobs.fields.

Every job is decoded as a worker does before the first is published. It goes to
its original subject, with its original headers (--bare omits them) and with
Capture-DLQ-Sequence. The dead letter stays; who published what, when and why is
recorded. One that was already republished or dismissed is refused unless --again
is given.

The job of a conflict is compared with the outcome of its trade again: if nothing
has changed, it becomes another dead letter. Dismiss what needs no capture.`

func newDLQRepublishCmd(a *app) *cobra.Command {
	r := &republishing{targets: map[string]target{}}
	cmd := &cobra.Command{
		Use:   "republish SEQ...",
		Short: "Publish the jobs of dead letters again, corrected",
		Long:  republishLong,
		Example: `  capture-worker dlq republish 1 --fixed fixed.json --reason 'amount was a number'
  capture-worker dlq republish 2 3 --reason 'jobs.fields corrected' --dry-run`,
		Args: cobra.MinimumNArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&r.fixed, "fixed", "", "`file` with the corrected jobs")
	f.StringVar(&r.subject, "subject", "", "`subject` to publish to, instead of its original one")
	f.StringVar(&r.reason, "reason", "", "why; required")
	f.StringVar(&r.by, "by", "", "who, if not the user of this machine")
	f.BoolVar(&r.bare, "bare", false, "without the headers that the job had")
	f.BoolVar(&r.again, "again", false, "also dead letters that were already republished or dismissed")
	f.BoolVar(&r.dryRun, "dry-run", false, "check the jobs and send nothing")
	addSettings(cmd, "nats", "jobs", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		seqs, err := sequences(args)
		if err != nil {
			return err
		}
		if err := checkReason(r.reason); err != nil {
			return err
		}
		if r.by, err = actor(r.by); err != nil {
			return err
		}
		r.out = cmd.OutOrStdout()
		return a.withDLQ(cmd, func(ctx context.Context, d *dlqCmd) error {
			r.dlq = d
			return r.run(ctx, seqs)
		})
	})
	return cmd
}

// reply is a job that is ready to be published for a dead letter.
type reply struct {
	letter deadletter.Message
	job    capture.Job
	header nats.Header
	body   []byte
	to     target
	after  uint64 // the sequence as which it was published before
}

func (r *republishing) run(ctx context.Context, seqs []uint64) error {
	if r.fixed != "" {
		var err error
		if r.jobs, err = readFixed(r.fixed, r.dlq.dec, len(seqs)); err != nil {
			return fmt.Errorf("nothing was sent: %w", err)
		}
	}
	done, err := r.dlq.store.Resolutions(ctx)
	if err != nil {
		return err
	}
	replies := make([]reply, 0, len(seqs))
	for i, seq := range seqs {
		if what := resolved(done[seq]); what != "" && !r.again {
			return fmt.Errorf("nothing was sent: letter %d was %s; add --again to publish its job anyway", seq, what)
		}
		rep, err := r.prepare(ctx, i, seq)
		if err != nil {
			return fmt.Errorf("nothing was sent: %w", err)
		}
		if before := done[seq].Republished; before != nil {
			rep.after = before.Seq
		}
		replies = append(replies, rep)
	}
	for i, rep := range replies {
		if err := r.send(ctx, rep); err != nil {
			return fmt.Errorf("%w\n%d of %d letters are done; run the command again, naming the others only", err, i, len(replies))
		}
	}
	return nil
}

// prepare decodes what is to be sent for a dead letter, as a worker would.
func (r *republishing) prepare(ctx context.Context, i int, seq uint64) (reply, error) {
	l, err := r.dlq.store.Get(ctx, seq)
	if err != nil {
		return reply{}, err
	}
	rep := reply{letter: l, header: l.Header, body: l.Body}
	if r.bare {
		rep.header = nats.Header{}
	}
	advice := "give the corrected job with --fixed"
	if r.jobs != nil {
		rep.body = r.jobs[i].body
		advice = "correct the file; if the headers are what is wrong, leave them out with --bare"
	}
	if rep.job, err = r.dlq.dec.Decode(rep.header, rep.body); err != nil {
		return reply{}, fmt.Errorf("letter %d: the job is malformed: %s; %s", seq, jobfile.Reason(err), advice)
	}
	rep.to, err = r.target(ctx, l.Subject)
	return rep, err
}

// target finds the stream that takes the subject, once for each.
func (r *republishing) target(ctx context.Context, subject string) (target, error) {
	if r.subject != "" {
		subject = r.subject
	}
	if t, ok := r.targets[subject]; ok {
		return t, nil
	}
	if err := checkSubject(subject, r.dlq.c.Jobs); err != nil {
		return target{}, err
	}
	t, err := findTarget(ctx, r.dlq.js, r.dlq.c, subject)
	r.targets[subject] = t
	return t, err
}

// send publishes the job and records it. If the record fails, a repeat of the
// command is deduplicated by the stream, and later by the worker.
func (r *republishing) send(ctx context.Context, rep reply) error {
	if r.dryRun {
		fmt.Fprintf(r.out, "letter %d: would be published to %s: trade %s, %s (--dry-run)\n", rep.letter.Seq, rep.to.subject, rep.job.TradeID, rep.job.Amount)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, rowTimeout)
	defer cancel()
	msg := nats.NewMsg(rep.to.subject)
	msg.Data = rep.body
	for name, values := range rep.header {
		msg.Header[name] = values
	}
	msg.Header.Set(deadletter.HeaderDLQStream, r.dlq.store.Stream)
	msg.Header.Set(deadletter.HeaderDLQSequence, strconv.FormatUint(rep.letter.Seq, 10))
	sum := sha256.Sum256(rep.body)
	id := fmt.Sprintf("%s-%d-%s", r.dlq.store.Stream, rep.letter.Seq, hex.EncodeToString(sum[:8]))
	if rep.after > 0 { // or the stream would treat it as a duplicate of that one
		id += fmt.Sprintf("-after-%d", rep.after)
	}
	ack, err := r.dlq.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id), jetstream.WithExpectStream(rep.to.stream))
	if err != nil {
		return fmt.Errorf("letter %d, trade %s: not acknowledged as stored: %w", rep.letter.Seq, rep.job.TradeID, err)
	}
	err = r.dlq.store.Republished(ctx, deadletter.Republication{
		Letter: rep.letter.Seq, TradeID: rep.job.TradeID, Amount: rep.job.Amount.Number(), Money: rep.job.Amount.Currency(),
		Fixed: r.jobs != nil, Subject: rep.to.subject, Stream: rep.to.stream, Seq: ack.Sequence,
		By: r.by, Note: r.reason, Time: time.Now().UTC(),
	})
	if err != nil {
		return fmt.Errorf("the job of letter %d is published (sequence %d of %s), but the record of it failed: %w", rep.letter.Seq, ack.Sequence, rep.to.stream, err)
	}
	did := "published to " + rep.to.subject
	if ack.Duplicate {
		did = fmt.Sprintf("not sent again: %s already holds it as %d", rep.to.stream, ack.Sequence)
	}
	fmt.Fprintf(r.out, "letter %d: %s: trade %s, %s\n", rep.letter.Seq, did, rep.job.TradeID, rep.job.Amount)
	if rep.letter.Reason == deadletter.ReasonConflict {
		fmt.Fprintf(r.out, "letter %d: was a conflict; if the outcome of %s still stands, the job comes back as a new letter: see `capture-worker show %s`\n",
			rep.letter.Seq, rep.job.TradeID, rep.job.TradeID)
	}
	return nil
}
