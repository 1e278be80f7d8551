package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/service"
	"github.com/capture-worker/capture-worker/ledger"
)

// resumeRun is one run of resume.
type resuming struct {
	code, by, reason string
	length           time.Duration
	ledger           bool
}

const resumeLong = `Records for all workers that an operator accepts refusals, or a ledger that has
lost events.

With --code, refusals with this code count as correct for some time: they are about
the trades, and job intake that was paused because of them resumes. Workers detect
by themselves when a fault is fixed; this is for refusals that are correct, such
as a batch of cancelled authorizations at a new account.

With --ledger, the ledger is accepted although it has lost events: first capture
calls go out without a query again. Reconcile first, see docs/operations.md
(Backup and restore): otherwise a trade that was captured after the backup is
called again.

Who, why and until when is kept in the bucket CAPTURE_CONTROL.`

// maxAccepted is the longest time for which an operator may accept refusals with
// one code of the gateway.
const maxAccepted = 7 * 24 * time.Hour

func newResumeCmd(a *app) *cobra.Command {
	r := &resuming{}
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Resume the intake of jobs, or accept a restored ledger",
		Long:  resumeLong,
		Example: `  capture-worker resume --code -4024 --for 1h --reason 'a batch of cancelled authorizations'
  capture-worker resume --ledger --reason 'restored, and reconciled with the gateway'`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&r.code, "code", "", "the `code` whose refusals are accepted: "+strings.Join(acceptable, ", "))
	addDuration(f, &r.length, "for", time.Hour, "how long the code is accepted; at most 7d")
	f.BoolVar(&r.ledger, "ledger", false, "accept the ledger as it is")
	f.StringVar(&r.by, "by", "", "`name` of the operator, if not the user of this machine")
	f.StringVar(&r.reason, "reason", "", "why; required")
	addSettings(cmd, "nats", "jobs", "ledger", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if err := r.check(cmd); err != nil {
			return err
		}
		return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
			return r.run(ctx, cmd, js, c)
		})
	})
	return cmd
}

// acceptable lists the codes that pause the intake and may have their cause in the
// trades. -403 and -2001 are not acceptable: while the gateway refuses our key or
// user, no call can succeed.
var acceptable = []string{
	capture.CodeTradeID, capture.CodeAmountExceeded, capture.CodeCurrencyMismatch, capture.CodeWindowExceeded,
	capture.CodeFieldMissing, capture.CodeRequestID,
}

func (r *resuming) check(cmd *cobra.Command) (err error) {
	switch {
	case (r.code != "") == r.ledger:
		return usageError("exactly one of --code and --ledger is required")
	case r.code != "" && !slices.Contains(acceptable, r.code):
		return usageError("--code is %.20q: must be one of %s", r.code, strings.Join(acceptable, ", "))
	case r.ledger && cmd.Flags().Changed("for"):
		return usageError("--for goes with --code: a ledger is accepted until it loses events again")
	case r.length <= 0 || r.length > maxAccepted:
		return usageError("--for is %s: must be above 0 and not above %s", config.FormatDuration(r.length), config.FormatDuration(maxAccepted))
	}
	if err := checkReason(r.reason); err != nil {
		return err
	}
	r.by, err = actor(r.by)
	return err
}

func (r *resuming) run(ctx context.Context, cmd *cobra.Command, js jetstream.JetStream, c config.Config) error {
	control, err := controls.Open(ctx, js, c.Ledger.Stream)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return fmt.Errorf("there is no bucket %s: no worker has run there yet, or this is another server or account: %w", controls.Bucket, err)
	}
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	a := controls.Acceptance{By: r.by, Reason: r.reason, At: now}
	act := acts.Act{Act: acts.Resume, By: r.by, Reason: r.reason}
	if r.ledger {
		act.About = "ledger " + c.Ledger.Stream
		return recorder(c, js).Do(ctx, act, func() error { return r.acceptLedger(ctx, cmd, js, c, control, a) })
	}
	a.Until = now.Add(r.length)
	act.About, act.Detail = "code "+r.code, "until "+a.Until.Format(time.RFC3339)
	if err := recorder(c, js).Do(ctx, act, func() error { return control.AcceptCode(ctx, r.code, a) }); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "refusals with code %s are accepted until %s; workers resume within %s\n",
		r.code, a.Until.Format(time.RFC3339), config.FormatDuration(c.Worker.ProbeInterval))
	return err
}

func (r *resuming) acceptLedger(ctx context.Context, cmd *cobra.Command, js jetstream.JetStream, c config.Config, control *controls.Store, a controls.Acceptance) error {
	guard := service.NewLedgerGuard(c, js, ledger.NewJetStream(js, ledger.Options{Stream: c.Ledger.Stream}), nil, control, nil)
	mark, err := guard.Mark(ctx)
	if err != nil {
		return err
	}
	if err := control.AcceptLoss(ctx, a, mark); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "the ledger is accepted as it is, up to sequence %d; workers resume within %s\n",
		mark.LastSeq, config.FormatDuration(c.Worker.ProbeInterval))
	return err
}
