package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

func newParkedDismissCmd(a *app) *cobra.Command {
	var reason, by string
	cmd := &cobra.Command{
		Use:   "dismiss TRADE...",
		Short: "Close the case of parked trades that were settled by hand",
		Long: `Writes into the ledger that a person has closed the case, who, and why. It says
nothing about the money: the trade stays parked, leaves the list of parked
trades, and is still corrected when the gateway tells an outcome. A second job
for it is met as before. A dismissed trade can still be released (release
--dismissed).

Exit codes: 0 all dismissed; 1 it failed or broke off; 2 wrong usage or
configuration; 3 some were refused.`,
		Example: `  capture-worker parked dismiss T-7 --reason 'refunded by hand'`,
		Args:    cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; required")
	cmd.Flags().StringVar(&by, "by", "", "who, where it is not the user of this machine")
	addSettings(cmd, "nats", "ledger", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		if err := checkReason(reason); err != nil {
			return err
		}
		who, err := actor(by)
		if err != nil {
			return err
		}
		if err := checkTrades(args); err != nil {
			return err
		}
		return a.withOffice(cmd, func(ctx context.Context, o *office) error {
			refused := 0
			for _, id := range args {
				trade, err := o.recorder.Reopen(ctx, id)
				if err == nil && trade.State.Dismissed {
					fmt.Fprintf(cmd.OutOrStdout(), "%s  left as it is: its case is closed already\n", id)
					continue
				}
				if err == nil {
					err = o.recorder.Dismiss(ctx, id, who, reason)
				}
				if _, ok := errors.AsType[*reconcile.NotParkedError](err); ok {
					refused++
					fmt.Fprintf(cmd.OutOrStdout(), "%s  refused: %v\n", id, err)
					continue
				}
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s  dismissed\n", id)
			}
			if refused > 0 {
				return foundError("refused: %d of %s, see above", refused, counted(len(args), "trade"))
			}
			return nil
		})
	})
	return cmd
}

func checkTrades(ids []string) error {
	seen := map[string]bool{}
	for _, id := range ids {
		if err := ledger.CheckTradeID(id); err != nil {
			return usageError("%w", err)
		}
		key := capture.TradeKey(id)
		if seen[key] {
			return usageError("trade %s is named twice", id)
		}
		seen[key] = true
	}
	return nil
}
