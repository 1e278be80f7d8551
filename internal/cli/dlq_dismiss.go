package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/printable"
)

func newDLQDismissCmd(a *app) *cobra.Command {
	var reason, by string
	var chosen selecting
	cmd := &cobra.Command{
		Use:   "dismiss [SEQ...]",
		Short: "Close the case of dead letters that need no capture",
		Long: `Records that nothing is left to do about dead letters, by whom, and why: those that
are named, or the pending ones that the filter selects. They stay in the stream and
leave the list; nothing is published, and no trade is changed. A dismissed one can
still be republished, with --again.

What a filter selects is listed first. It is dismissed with --yes, or if an operator
at a terminal confirms.`,
		Example: `  capture-worker dlq dismiss 10 --reason 'asked twice, A-1003 is paid'
  capture-worker dlq dismiss --only conflict --order A-1003 --reason 'asked twice'
  capture-worker dlq dismiss --only conflict --order A-1003 --reason 'asked twice' --yes`,
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; required")
	cmd.Flags().StringVar(&by, "by", "", "`name` of the operator, if not the user of this machine")
	chosen.add(cmd, "dismiss")
	addSettings(cmd, "nats", "jobs", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		if err := chosen.check(args); err != nil {
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
			return d.dismiss(ctx, cmd, &chosen, deadletter.Dismissal{By: who, Note: reason})
		})
	})
	return cmd
}

// dismiss records the dismissal of each dead letter, if all of them exist.
func (d *dlqCmd) dismiss(ctx context.Context, cmd *cobra.Command, chosen *selecting, note deadletter.Dismissal) error {
	out := cmd.OutOrStdout()
	done, err := d.store.Resolutions(ctx)
	if err != nil {
		return err
	}
	seqs, err := chosen.choose(ctx, d, cmd)
	if err != nil || len(seqs) == 0 {
		return err
	}
	for _, seq := range chosen.named {
		if _, err := d.store.Get(ctx, seq); err != nil {
			return fmt.Errorf("nothing was dismissed: %w", err)
		}
	}
	if yes, err := chosen.confirm(cmd, "dismissed", "Dismiss "+counted(len(seqs), "dead letter")); err != nil || !yes {
		return err
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
	at, by, what := time.Time{}, "", ""
	switch {
	case h.Republished != nil:
		what, at, by = "republished", h.Republished.Time, h.Republished.By
	case h.Dismissed != nil:
		what, at, by = "dismissed", h.Dismissed.Time, h.Dismissed.By
	default:
		return ""
	}
	return printable.Line(fmt.Sprintf("%s %s UTC by %s", what, at.UTC().Format(time.DateTime), by))
}
