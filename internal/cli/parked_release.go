package cli

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/reconcile"
)

const releaseLong = `Sends parked trades back to the workers: those that are named, or with --yes
those that the filter selects.

Each is asked about with Order Query first. Still authorized: a released event
with who and why is written, and the job is published to --subject. Paid, dead
or otherwise ended: that outcome is written instead, with who and why. In any other case, and
above all where the query tells nothing, the release is refused; nothing
overrides that. A trade whose case was closed (parked dismiss) is refused too,
unless --dismissed is given.

Of many, the first few (--canary) are released and waited for; the others follow
only when none of them was parked again. --dry-run asks and writes nothing. A
release that was cut short is finished by naming its trade again.

Exit codes: 0 all released or settled; 1 it failed or broke off; 2 wrong usage
or configuration; 3 some were refused.`

func newParkedReleaseCmd(a *app) *cobra.Command {
	var f parkedFlags
	s := &sendingBack{
		verb: "release", done: "released", noun: "parked trade", filters: "--only",
		selects: func(ctx context.Context, recorder *reconcile.Recorder) (iter.Seq2[reconcile.ParkedTrade, error], error) {
			filter, err := f.filter()
			return recorder.Parked(ctx, filter), err
		},
		fill: func(r *reconcile.Releaser) { r.Dismissed = f.dismissed },
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
	cmd.Flags().BoolVar(&f.dismissed, "dismissed", false, "also those whose case an operator has closed")
	s.flags(cmd)
	cmd.RunE = s.command(a, func() (bool, error) {
		_, err := f.filter()
		return f.set(), err
	})
	return cmd
}
