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

const retryLong = `Sends failed trades back to the workers when the cause is fixed (a wrong account, a
wrong setting), and reopens withdrawn ones: those that are named, or with --yes
those that the filter selects. Earlier failed requests no longer count.

Order Query is asked about each of them first. If the trade is still authorized
and not past its deadline, a retried event with who and why is appended and the
job is published to --subject. If it is paid, captured is appended instead, as a
correction. In any other case, also if the query gives no usable answer, the retry
is refused; nothing overrides that. A trade past its deadline is refused unless
--before sets a new one, at most the end of the authorization.

Of many, the first few (--canary) are retried and waited for; the others follow
only if none of them failed or was parked again. --dry-run asks and appends
nothing. To finish an interrupted retry, name its trade again.

Exit codes: 0 all retried or settled; 1 it failed or was aborted; 2 wrong usage
or configuration; 3 some were refused.`

// retryFlags are the filter of retry, and the new deadline.
type retryFlags struct {
	code, since, before string

	filter reconcile.ParkedFilter
	until  time.Time
}

func newRetryCmd(a *app) *cobra.Command {
	var f retryFlags
	s := &sendingBack{
		verb: "retry", done: "retried", noun: "failed trade", filters: "--reason-code",
		selects: func(ctx context.Context, o *ledgerDeps) (iter.Seq2[reconcile.ParkedTrade, error], error) {
			return o.recorder.Failed(ctx, f.filter), nil
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
		return false, usageError("--reason-code is %q: no trade fails for this reason; the reasons are %s", f.code, strings.Join(reasons, ", "))
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
			return false, usageError("--before is %s: must be in the future", f.before)
		}
	}
	return f.code != "" || f.since != "", nil
}
