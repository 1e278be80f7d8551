package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/internal/deadletter"
)

func newDLQDismissCmd(a *app) *cobra.Command {
	var reason, by string
	cmd := &cobra.Command{
		Use:   "dismiss SEQ...",
		Short: "Close the case of dead letters that need no capture",
		Long: `Records that nothing is left to do about a dead letter, by whom, and why. The dead
letter stays in the stream and leaves the list; nothing is published, and its
trade is not changed. A dismissed one can still be republished, with --again.`,
		Example: `  capture-worker dlq dismiss 10 --reason 'asked twice, A-1003 is paid'`,
		Args:    cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; required")
	cmd.Flags().StringVar(&by, "by", "", "`name` of the operator, if not the user of this machine")
	addSettings(cmd, "nats", "jobs", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		seqs, err := sequences(args)
		if err != nil {
			return err
		}
		if err := checkReason(reason); err != nil {
			return err
		}
		who, err := actor(by)
		if err != nil {
			return err
		}
		return a.withDLQ(cmd, func(ctx context.Context, d *dlqCmd) error {
			return d.dismiss(ctx, cmd.OutOrStdout(), seqs, deadletter.Dismissal{By: who, Note: reason})
		})
	})
	return cmd
}

// dismiss records the dismissal of each dead letter, if all of them exist.
func (d *dlqCmd) dismiss(ctx context.Context, out io.Writer, seqs []uint64, note deadletter.Dismissal) error {
	done, err := d.store.Resolutions(ctx)
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		if _, err := d.store.Get(ctx, seq); err != nil {
			return fmt.Errorf("nothing was dismissed: %w", err)
		}
	}
	for _, seq := range seqs {
		if what := resolved(done[seq]); what != "" {
			fmt.Fprintf(out, "dead letter %d: unchanged: it was %s\n", seq, what)
			continue
		}
		note.Letter, note.Time = seq, time.Now().UTC()
		if err := d.store.Dismiss(ctx, note); err != nil {
			return err
		}
		fmt.Fprintf(out, "dead letter %d: dismissed\n", seq)
	}
	return nil
}

// resolved returns what was done about a dead letter, "" if it is pending.
func resolved(h deadletter.Resolution) string {
	switch {
	case h.Republished != nil:
		return fmt.Sprintf("republished %s UTC by %s", h.Republished.Time.UTC().Format(time.DateTime), h.Republished.By)
	case h.Dismissed != nil:
		return fmt.Sprintf("dismissed %s UTC by %s", h.Dismissed.Time.UTC().Format(time.DateTime), h.Dismissed.By)
	}
	return ""
}
