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
	"github.com/capture-worker/capture-worker/internal/printable"
)

// republishing is one run of dlq republish.
type republishing struct {
	fixed, subject, reason, by string
	file                       fileFlags
	approval                   approval
	chosen                     selecting
	bare, again, dryRun        bool
	replaceTrade               bool

	dlq     *dlqCmd
	cmd     *cobra.Command
	out     io.Writer
	seqs    []uint64
	jobs    []fixedJob // of --fixed
	done    map[uint64]deadletter.Resolution
	targets map[string]target
}

const republishLong = `Publishes the jobs of dead letters again: those that are named, or the pending ones
that the filter selects. With --fixed the file holds the corrected jobs, one for
each SEQ and in that order, in the forms that publish reads. Without it each job is
published as received, for when the cause is fixed, such as a wrong jobs.fields.

Every job is decoded as a worker does before the first is published, and of a
corrected one the fields that differ are listed. It goes to its original subject,
with its original headers (--bare omits them), with Capture-DLQ-Sequence and the
name of the operator, which stand in the trade's history. The dead letter stays;
who published what, when and why is recorded. One that was already republished or
dismissed is refused unless --again is given.

A corrected job that names another trade or order than its dead letter is refused
unless --replace-trade is given. Corrected sums above the original, or above one
that cannot be read, need --approved-by if they add up to more than approval.above.

What a filter selects is listed first. It is published with --yes, or if an operator
at a terminal confirms.

The job of a conflict is compared with the outcome of its trade again: if nothing
has changed, it becomes another dead letter. Dismiss what needs no capture.`

func newDLQRepublishCmd(a *app) *cobra.Command {
	r := &republishing{targets: map[string]target{}}
	cmd := &cobra.Command{
		Use:   "republish [SEQ...]",
		Short: "Publish the jobs of dead letters again, corrected",
		Long:  republishLong,
		Example: `  capture-worker dlq republish 1 --fixed fixed.json --reason 'amount was a number'
  capture-worker dlq republish 2 3 --reason 'jobs.fields corrected' --dry-run
  capture-worker dlq republish --only missing_field --since 1d --reason 'jobs.fields corrected'
  capture-worker dlq republish --only missing_field --since 1d --reason 'jobs.fields corrected' --yes`,
	}
	f := cmd.Flags()
	f.StringVar(&r.fixed, "fixed", "", "`file` with the corrected jobs, or - for standard input")
	r.file.addFormat(f)
	r.file.add(f)
	f.StringVar(&r.subject, "subject", "", "`subject` to publish to, instead of its original one")
	f.StringVar(&r.reason, "reason", "", "why; required")
	f.StringVar(&r.by, "by", "", "`name` of the operator, if not the user of this machine")
	r.approval.add(f)
	f.BoolVar(&r.replaceTrade, "replace-trade", false, "also if the corrected job names another trade or order")
	f.BoolVar(&r.bare, "bare", false, "without the headers that the job had")
	f.BoolVar(&r.again, "again", false, "also dead letters that were already republished or dismissed")
	f.BoolVar(&r.dryRun, "dry-run", false, "check the jobs and send nothing")
	r.chosen.add(cmd, "publish")
	addSettings(cmd, "nats", "jobs", "approval", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		if err := r.check(args); err != nil {
			return err
		}
		r.cmd, r.out = cmd, cmd.OutOrStdout()
		return a.withDLQ(cmd, func(ctx context.Context, d *dlqCmd) error {
			r.dlq = d
			return r.run(ctx)
		})
	})
	return cmd
}

func (r *republishing) check(args []string) (err error) {
	if err := r.chosen.check(args); err != nil {
		return err
	}
	if r.fixed != "" && r.chosen.byFilter() {
		return usageError("--fixed has a job for each dead letter that is named: name them by their sequence")
	}
	if err := checkReason(r.reason); err != nil {
		return err
	}
	if r.by, err = actor(r.by); err != nil {
		return err
	}
	return r.approval.check(r.by)
}

// reply is a job that is ready to be published again.
type reply struct {
	letter deadletter.Message
	job    capture.Job
	header nats.Header
	body   []byte
	to     target
	after  uint64 // the sequence as which it was published before
}

func (r *republishing) run(ctx context.Context) (err error) {
	if r.done, err = r.dlq.store.Resolutions(ctx); err != nil {
		return err
	}
	if r.seqs, err = r.chosen.choose(ctx, r.dlq, r.cmd); err != nil || len(r.seqs) == 0 {
		return err
	}
	if r.fixed != "" {
		if r.jobs, err = r.readFixed(ctx, r.cmd.InOrStdin(), r.cmd.ErrOrStderr(), len(r.seqs)); err != nil {
			return fmt.Errorf("nothing was sent: %w", err)
		}
	}
	sums, err := r.checkAll(ctx)
	if err != nil {
		return fmt.Errorf("nothing was sent: %w", err)
	}
	if !r.dryRun {
		yes, err := r.chosen.confirm(r.cmd, "sent", "Publish the jobs of "+counted(len(r.seqs), "dead letter")+", "+sums.String())
		if err != nil || !yes {
			return err
		}
	}
	for i := range r.seqs {
		rep, err := r.prepare(ctx, i)
		if err == nil {
			err = r.send(ctx, rep)
		}
		if err != nil {
			return fmt.Errorf("%w\n%d of %s are done; run the command again, naming the others only", err, i, counted(len(r.seqs), "dead letter"))
		}
	}
	return nil
}

// checkAll prepares every job, keeps none, and returns their sums. It lists what the
// corrections change, and refuses sums that need a second operator.
func (r *republishing) checkAll(ctx context.Context) (*jobfile.Sums, error) {
	var all, larger jobfile.Sums
	for i := range r.seqs {
		rep, err := r.prepare(ctx, i)
		if err != nil {
			return nil, err
		}
		all.Add(rep.job.Amount, 1)
		if r.jobs == nil {
			continue
		}
		r.writeDifference(rep.letter, rep)
		if err := r.checkReplaced(rep.letter, rep.job); err != nil {
			return nil, err
		}
		if r.larger(rep.letter, rep.job) {
			larger.Add(rep.job.Amount, 1)
		}
	}
	missing, err := r.approval.missing(r.dlq.c, "sums above the original: "+larger.String(), &larger)
	switch {
	case err != nil || missing == "":
		return &all, err
	case r.dryRun:
		fmt.Fprintln(r.out, missing)
		return &all, nil
	}
	return nil, usageError("%s", missing)
}

// prepare decodes the job to send for a dead letter like a worker.
func (r *republishing) prepare(ctx context.Context, i int) (reply, error) {
	seq := r.seqs[i]
	done := r.done[seq]
	if what := resolved(done); what != "" && !r.again {
		return reply{}, fmt.Errorf("dead letter %d was %s; add --again to publish its job anyway", seq, what)
	}
	l, err := r.dlq.store.Get(ctx, seq)
	if err != nil {
		return reply{}, err
	}
	if r.dlq.withdrawal(l) {
		return reply{}, fmt.Errorf("dead letter %d is a withdrawal, not a job: withdraw again with `capture-worker withdraw`, then dismiss it", seq)
	}
	rep := reply{letter: l, header: l.Header, body: l.Body}
	if done.Republished != nil {
		rep.after = done.Republished.Seq
	}
	if r.bare {
		rep.header = nats.Header{}
	}
	advice := "give the corrected job with --fixed"
	if r.jobs != nil {
		rep.body = r.jobs[i].body
		if r.jobs[i].header != nil {
			rep.header = r.jobs[i].header
		}
		advice = "correct the file; if the fault is in the headers, omit them with --bare"
	}
	if rep.job, err = r.dlq.dec.Decode(rep.header, rep.body); err != nil {
		return reply{}, fmt.Errorf("dead letter %d: the job is malformed: %s; %s", seq, printable.Line(jobfile.Reason(err)), advice)
	}
	rep.to, err = r.target(ctx, l.Subject)
	return rep, err
}

// target returns the stream that takes the subject, and finds it once for each
// subject.
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
		fmt.Fprintf(r.out, "dead letter %d: would be published to %s: trade %s, %s (--dry-run)\n", rep.letter.Seq, rep.to.subject, rep.job.TradeID, rep.job.Amount)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, rowTimeout)
	defer cancel()
	msg, id := r.message(rep)
	ack, err := r.dlq.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id), jetstream.WithExpectStream(rep.to.stream))
	if deadletter.TooLarge(err) {
		return fmt.Errorf("dead letter %d, trade %s: the job is too large with what is added to its headers: leave its own out with --bare: %w", rep.letter.Seq, rep.job.TradeID, err)
	}
	if err != nil {
		return fmt.Errorf("dead letter %d, trade %s: the stream did not confirm the job: %w", rep.letter.Seq, rep.job.TradeID, err)
	}
	err = r.dlq.store.Republished(ctx, deadletter.Republication{
		Letter: rep.letter.Seq, TradeID: rep.job.TradeID, Amount: rep.job.Amount.Number(), Money: rep.job.Amount.Currency(),
		Fixed: r.jobs != nil, Subject: rep.to.subject, Stream: rep.to.stream, Seq: ack.Sequence,
		By: r.by, Note: r.reason, ApprovedBy: r.approval.by, Time: time.Now().UTC(),
	})
	if err != nil {
		return fmt.Errorf("the job of dead letter %d is published (sequence %d of %s), but recording that failed: %w", rep.letter.Seq, ack.Sequence, rep.to.stream, err)
	}
	did := "published to " + rep.to.subject
	if ack.Duplicate {
		did = fmt.Sprintf("not sent again: stream %s already holds the job as sequence %d", rep.to.stream, ack.Sequence)
	}
	fmt.Fprintf(r.out, "dead letter %d: %s: trade %s, %s\n", rep.letter.Seq, did, rep.job.TradeID, rep.job.Amount)
	if rep.letter.Reason == deadletter.ReasonConflict {
		fmt.Fprintf(r.out, "dead letter %d: was a conflict; if the outcome of %s is unchanged, the job becomes a new dead letter: see `capture-worker show %s`\n",
			rep.letter.Seq, rep.job.TradeID, rep.job.TradeID)
	}
	return nil
}

// message returns what is published, and the id by which the stream recognises a
// repeat.
func (r *republishing) message(rep reply) (msg *nats.Msg, id string) {
	msg = nats.NewMsg(rep.to.subject)
	msg.Data = rep.body
	for name, values := range rep.header {
		msg.Header[name] = values
	}
	msg.Header.Set(deadletter.HeaderDLQStream, r.dlq.store.Stream)
	msg.Header.Set(deadletter.HeaderDLQSequence, strconv.FormatUint(rep.letter.Seq, 10))
	msg.Header.Set(deadletter.HeaderPublishedBy, r.by)
	sum := sha256.Sum256(rep.body)
	id = fmt.Sprintf("%s-%d-%s", r.dlq.store.Stream, rep.letter.Seq, hex.EncodeToString(sum[:8]))
	if rep.after > 0 { // otherwise the stream would treat it as a duplicate of the earlier one
		id += fmt.Sprintf("-after-%d", rep.after)
	}
	return msg, id
}
