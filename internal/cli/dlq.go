package cli

import (
	"context"
	"errors"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/deadletter"
)

func newDLQCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "See the jobs that could not be taken, and publish them corrected or close them",
		Long: `Jobs that nobody can read, and jobs that contradict the outcome of their trade,
wait as dead letters in jobs.dlq_stream, with the reason. No letter is changed
or removed: what is done about it is noted beside it.`,
		Example: "  capture-worker dlq list\n  capture-worker dlq show 1",
		Args:    cobra.NoArgs,
		RunE:    chooseOne,
	}
	cmd.AddCommand(newDLQListCmd(a), newDLQShowCmd(a), newDLQRepublishCmd(a), newDLQDismissCmd(a))
	return cmd
}

// desk is what the dlq commands work with.
type desk struct {
	c   config.Config
	js  jetstream.JetStream
	box deadletter.Store
	dec *capture.Decoder
}

func newDesk(c config.Config, js jetstream.JetStream, dec *capture.Decoder) *desk {
	return &desk{c: c, js: js, box: deadletter.Store{JS: js, Stream: c.Jobs.DLQStream}, dec: dec}
}

// withDesk connects and hands over the stream of dead letters.
func (a *app) withDesk(cmd *cobra.Command, use func(context.Context, *desk) error) error {
	return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
		dec, err := capture.NewDecoder(mappingOf(c))
		if err != nil {
			return err
		}
		return use(ctx, newDesk(c, js, dec))
	})
}

func mappingOf(c config.Config) capture.Mapping {
	return c.JobMapping()
}

// job reads the job of a letter, as a worker would today.
func (d *desk) job(l deadletter.Message) (capture.Job, error) { return d.dec.Decode(l.Header, l.Body) }

// sequences reads the arguments that name letters.
func sequences(args []string) ([]uint64, error) {
	var all []uint64
	seen := map[uint64]bool{}
	for _, arg := range args {
		seq, err := strconv.ParseUint(arg, 10, 64)
		if err != nil || seq == 0 {
			return nil, usageError("%q is not the sequence of a dead letter; `capture-worker dlq list` shows them", arg)
		}
		if seen[seq] {
			return nil, usageError("the letter %d is named twice", seq)
		}
		seen[seq] = true
		all = append(all, seq)
	}
	return all, nil
}

// noDLQ says what it means that the stream is missing.
func noDLQ(err error) bool { return errors.Is(err, jetstream.ErrStreamNotFound) }
