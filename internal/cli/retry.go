package cli

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/reconcile"
)

const retryLong = `Sends failed trades back to the workers when the cause is gone (a wrong account, a
wrong setting), and reopens withdrawn ones: those that are named, or with --yes
those that the filter selects. It forgets the requests that failed before.

Each is asked about with Order Query first. Still authorized and in time: a
retried event with who and why is written, and the job is published to --subject.
Paid: captured is written instead, as a correction, with who and why. In any other
case, and above all if the query tells nothing, the retry is refused; nothing
overrides that. A trade whose time is over is refused unless --before gives it a
new time; that cannot be later than the end of the authorization.

Of many, the first few (--canary) are retried and waited for; the others follow
only if none of them failed or was parked again. --dry-run asks and writes
nothing. A retry that was cut short is finished by naming its trade again.

Exit codes: 0 all retried or settled; 1 it failed or broke off; 2 wrong usage
or configuration; 3 some were refused.`

// retryFlags are the filter of retry, and the new time.
type retryFlags struct {
	code, since, before string

	filter reconcile.ParkedFilter
	until  time.Time
}

func newRetryCmd(a *app) *cobra.Command {
	var f retryFlags
	s := &sendingBack{
		verb: "retry", done: "retried", noun: "failed trade", filters: "--reason-code",
		selects: func(ctx context.Context, recorder *reconcile.Recorder) (iter.Seq2[reconcile.ParkedTrade, error], error) {
			return recorder.Failed(ctx, f.filter), nil
		},
		fill: func(r *reconcile.Releaser) { r.Retry, r.Before = true, f.until },
	}
	cmd := &cobra.Command{
		Use:   "retry [TRADE...]",
		Short: "Send failed or withdrawn trades back to the workers",
		Long:  retryLong,
		Example: `  capture-worker retry T-7 --reason 'the account was a wrong one'
  capture-worker retry T-8 --reason 'shipped late' --before 2099-12-20T12:00:00Z
  capture-worker retry --reason-code trade_incorrect --since 1d --reason 'wrong account' --dry-run
  capture-worker retry --reason-code trade_incorrect --since 1d --reason 'wrong account' --yes`,
	}
	fs := cmd.Flags()
	fs.StringVar(&f.code, "reason-code", "", "only trades that failed for this `reason`, such as trade_incorrect")
	fs.StringVar(&f.since, "since", "", "only trades that failed since then: a `time`, or how long ago")
	fs.StringVar(&f.before, "before", "", "new `time` by which they must be captured, such as 2026-12-20T12:00:00Z")
	s.flags(cmd)
	cmd.RunE = s.command(a, f.check)
	return cmd
}

func (f *retryFlags) check() (filtered bool, err error) {
	now := time.Now()
	if reasons := capture.FailedReasons(); f.code != "" && !slices.Contains(reasons, f.code) {
		return false, usageError("--reason-code is %q: no trade fails for such a reason; they are %s", f.code, strings.Join(reasons, ", "))
	}
	f.filter.Reason = f.code
	if f.filter.Since, err = parseSince(f.since, now); err != nil {
		return false, err
	}
	if f.before != "" {
		if f.until, err = time.Parse(time.RFC3339, f.before); err != nil {
			return false, usageError("--before is %q: must be a time such as 2026-12-20T12:00:00Z", f.before)
		}
		if !f.until.After(now) {
			return false, usageError("--before is %s: must be ahead", f.before)
		}
	}
	return f.code != "" || f.since != "", nil
}
