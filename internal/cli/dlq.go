package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/subject"
)

func newDLQCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "List jobs that could not be processed, republish or dismiss them",
		Long: `Jobs that cannot be read, and jobs that contradict the outcome of their trade,
are dead letters in jobs.dlq_stream, with the reason. No dead letter is changed
or removed: each action of an operator is recorded in a message of its own.

Jobs are decoded as the configuration says. Without --config, jobs.fields and
jobs.match, they are decoded as the workers do, which note it in the metadata of
their consumer.`,
		Example: "  capture-worker dlq list\n  capture-worker dlq show 1",
		Args:    cobra.NoArgs,
		RunE:    chooseOne,
	}
	cmd.AddCommand(newDLQListCmd(a), newDLQShowCmd(a), newDLQRepublishCmd(a), newDLQDismissCmd(a))
	return cmd
}

// dlqCmd is what the dlq commands work with.
type dlqCmd struct {
	c       config.Config
	js      jetstream.JetStream
	store   deadletter.Store
	mapping capture.Mapping
	dec     *capture.Decoder
	letters letterSource
}

// letterSource iterates over dead letters, the oldest first. It may leave out those
// that the query does not select.
type letterSource func(ctx context.Context, q letterQuery, each func(history.DeadLetter) error) error

// letterQuery selects dead letters; an empty field matches all.
type letterQuery struct {
	Trade, Order, Reason string
	After                uint64 // only those with a sequence above
}

// withDLQ connects and calls use with the dead-letter queue. If it is not known how
// the workers decode jobs, that is said.
func (a *app) withDLQ(cmd *cobra.Command, use func(context.Context, *dlqCmd) error) error {
	return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
		d := &dlqCmd{c: c, js: js, store: deadletter.Store{JS: js, Stream: c.Jobs.DLQStream}}
		unknown := ""
		d.mapping, unknown = history.Mapping(ctx, js, c)
		var err error
		if d.dec, err = capture.NewDecoder(d.mapping); err != nil {
			return err
		}
		d.letters = func(ctx context.Context, q letterQuery, each func(history.DeadLetter) error) error {
			return history.WalkDeadLetters(ctx, d.store, d.dec, q.After, each)
		}
		err = use(ctx, d)
		if unknown != "" && !noDLQ(err) {
			fmt.Fprintln(cmd.ErrOrStderr(), unknown)
		}
		return err
	})
}

// job decodes the job of a dead letter as a worker would now.
func (d *dlqCmd) job(l deadletter.Message) (capture.Job, error) {
	return d.dec.Decode(l.Header, l.Body)
}

// withdrawal reports whether a dead letter is a withdrawal, not a job.
func (d *dlqCmd) withdrawal(l deadletter.Message) bool {
	w := d.c.Withdrawals
	return l.Stream == w.Stream && slices.ContainsFunc(w.Subjects, func(pattern string) bool { return subject.Covers(pattern, l.Subject) })
}

// sequences parses the arguments that name dead letters.
func sequences(args []string) ([]uint64, error) {
	var all []uint64
	seen := map[uint64]bool{}
	for _, arg := range args {
		seq, err := strconv.ParseUint(arg, 10, 64)
		if err != nil || seq == 0 {
			return nil, usageError("%q is not the sequence of a dead letter; `capture-worker dlq list` shows them", arg)
		}
		if seen[seq] {
			return nil, usageError("dead letter %d is named twice", seq)
		}
		seen[seq] = true
		all = append(all, seq)
	}
	return all, nil
}

// noDLQ reports whether the error is that the stream is missing.
func noDLQ(err error) bool { return errors.Is(err, jetstream.ErrStreamNotFound) }
