package cli

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/reconcile"
)

const releaseLong = `Sends parked trades back to the workers: those that are named, or with --yes
those that the filter selects.

Order Query is asked about each of them first. If the trade is still authorized, a
released event with who and why is appended and the job is published to --subject.
If it is paid, declined or otherwise ended, that outcome is appended instead. In
any other case, also if the query gives no usable answer, the release is refused;
nothing overrides that. A dismissed trade is refused unless --dismissed is given.

Of many, the first few (--canary) are released and waited for; the others follow
only if none of them was parked again. --dry-run asks and appends nothing. To
finish an interrupted release, name its trade again.

Exit codes: 0 all released or settled; 1 it failed or was aborted; 2 wrong usage
or configuration; 3 some were refused.`

func newParkedReleaseCmd(a *app) *cobra.Command {
	f := caseFlags{what: "trades parked", reasons: capture.ParkedReasons()}
	s := &sendingBack{
		verb: "release", done: "released", noun: "parked trade", filters: "--only",
		selects: func(ctx context.Context, o *ledgerDeps) (iter.Seq2[reconcile.ParkedTrade, error], error) {
			filter, err := f.filter()
			return o.recorder.Parked(ctx, o.mayBeParked(ctx), filter), err
		},
		behind: func(ctx context.Context, o *ledgerDeps) string { return o.casesBehind(ctx) },
		fill:   func(r *reconcile.Releaser) { r.Dismissed = f.dismissed },
	}
	cmd := &cobra.Command{
		Use:   "release [TRADE...]",
		Short: "Send parked trades back to the workers",
		Long:  releaseLong,
		Example: `  capture-worker parked release T-7 --reason 'the gateway is back'
  capture-worker parked release --only unresolved --reason 'the gateway is back' --dry-run
  capture-worker parked release --only unresolved --reason 'the gateway is back' --yes --rate 5`,
	}
	f.add(cmd, "only")
	cmd.Flags().BoolVar(&f.dismissed, "dismissed", false, "also dismissed ones")
	s.flags(cmd)
	cmd.RunE = s.command(a, func() (bool, error) {
		_, err := f.filter()
		return f.set(), err
	})
	return cmd
}
