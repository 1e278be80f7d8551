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
	"github.com/capture-worker/capture-worker/internal/service"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

func newParkedCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "parked",
		Short: "List the trades that need an operator, release or dismiss them",
		Long: `A trade is parked if its state could not be determined, or is not the one that
the job requests. Every action of an operator on a parked trade is an event in
the ledger, with name, time and reason.`,
		Example: "  capture-worker parked list\n  capture-worker parked list --older-than 24h -o csv",
		Args:    cobra.NoArgs,
		RunE:    chooseOne,
	}
	cmd.AddCommand(newParkedListCmd(a), newParkedShowCmd(a), newParkedReleaseCmd(a), newParkedDismissCmd(a))
	return cmd
}

// caseFlags are the filter of commands about what needs an operator: parked trades or
// dead letters.
type caseFlags struct {
	what                       string   // "trades parked"
	reasons                    []string // that there are
	reasonFlag                 string
	reason, currency, min, max string
	olderThan                  time.Duration
	dismissed                  bool
}

// add adds the flags of the filter. reasonFlag is the name of the one for the
// reason of parking: "only" if --reason is the reason of the operator.
func (f *caseFlags) add(cmd *cobra.Command, reasonFlag string) {
	fs := cmd.Flags()
	f.reasonFlag = "--" + reasonFlag
	fs.StringVar(&f.reason, reasonFlag, "", "only "+f.what+" for this `reason`, such as "+f.reasons[len(f.reasons)-1])
	addDuration(fs, &f.olderThan, "older-than", 0, "only "+f.what+" at least so long ago, such as 24h or 7d")
	fs.StringVar(&f.currency, "currency", "", "only this currency, such as EUR")
	fs.StringVar(&f.min, "amount-min", "", "only amounts of at least this one; needs --currency")
	fs.StringVar(&f.max, "amount-max", "", "only amounts up to this one; needs --currency")
}

func (f *caseFlags) set() bool {
	return f.reason != "" || f.olderThan != 0 || f.currency != "" || f.min != "" || f.max != ""
}

func (f *caseFlags) filter() (reconcile.ParkedFilter, error) {
	filter := reconcile.ParkedFilter{Reason: f.reason, OlderThan: f.olderThan, Currency: f.currency, Dismissed: f.dismissed}
	if f.reason != "" && !slices.Contains(f.reasons, f.reason) {
		return filter, usageError("%s is %q: not a reason for %s; must be one of %s", f.reasonFlag, f.reason, f.what, strings.Join(f.reasons, ", "))
	}
	if _, err := capture.ParseAmount("1", f.currency); f.currency != "" && err != nil {
		return filter, usageError("--currency is %q: not an ISO 4217 code in upper case, such as EUR", f.currency)
	}
	if f.olderThan < 0 {
		return filter, usageError("--older-than is %s: must not be negative", f.olderThan)
	}
	if (f.min != "" || f.max != "") && f.currency == "" {
		return filter, usageError("--amount-min and --amount-max need --currency: amounts of different currencies cannot be compared")
	}
	for _, bound := range []struct {
		flag, text string
		to         *capture.Amount
	}{{"--amount-min", f.min, &filter.Min}, {"--amount-max", f.max, &filter.Max}} {
		if bound.text == "" {
			continue
		}
		a, err := capture.ParseAmount(bound.text, f.currency)
		if err != nil {
			return filter, usageError("%s: %w", bound.flag, err)
		}
		*bound.to = a
	}
	return filter, nil
}

// ledgerDeps is what the commands that read or change trades work with. query is
// nil unless the command needs the gateway.
type ledgerDeps struct {
	c        config.Config
	js       jetstream.JetStream
	ledger   ledger.Ledger
	cases    *ledger.Cases
	recorder *reconcile.Recorder
	query    reconcile.Query
}

// withLedger connects, also to the gateway if it is among the needs.
func (a *app) withLedger(cmd *cobra.Command, use func(context.Context, *ledgerDeps) error, needs ...config.Need) error {
	return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
		// Without its stream a read of the ledger would time out.
		if _, err := js.Stream(ctx, c.Ledger.Stream); errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("stream %s: %w", c.Ledger.Stream, err)
		}
		l := ledger.NewJetStream(js, ledger.Options{Stream: c.Ledger.Stream, Source: c.Ledger.Source})
		// The command prints its results; only errors are logged.
		recorder := service.NewRecorder(c, l, newLogger(quietLog(c), cmd.ErrOrStderr()))
		o := &ledgerDeps{c: c, js: js, ledger: l, cases: l.Cases(c.Ledger.Cases), recorder: recorder}
		if len(needs) > 0 {
			client, err := service.NewGateway(c, readBuild().Version)
			if err != nil {
				return err
			}
			defer client.Close()
			o.query = client.Query
		}
		return use(ctx, o)
	}, needs...)
}

// quietLog returns the log configuration, with errors only if no level was set.
func quietLog(c config.Config) config.Log {
	if c.Origin("log.level").From == config.FromDefault {
		c.Log.Level = "error"
	}
	return c.Log
}

func newParkedDismissCmd(a *app) *cobra.Command {
	var reason, by string
	cmd := &cobra.Command{
		Use:   "dismiss TRADE...",
		Short: "Close parked trades that were settled by hand",
		Long: `Records in the ledger that an operator closed the case, with name and reason. It
does not settle the trade: the trade stays parked, is no longer listed, and is
still corrected if the gateway reports an outcome. A second job for it is
handled as before. A dismissed trade can still be released (release
--dismissed).

Exit codes: 0 all dismissed; 1 it failed or was aborted; 2 wrong usage or
configuration; 3 some were refused.`,
		Example: `  capture-worker parked dismiss T-7 --reason 'refunded by hand'`,
		Args:    cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; required")
	cmd.Flags().StringVar(&by, "by", "", "`name` of the operator, if not the user of this machine")
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
		return a.withLedger(cmd, func(ctx context.Context, o *ledgerDeps) error {
			refused := 0
			for _, id := range args {
				trade, err := o.recorder.Reopen(ctx, id)
				if err == nil && trade.State.Dismissed {
					fmt.Fprintf(cmd.OutOrStdout(), "%s  unchanged: already dismissed\n", id)
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
				return foundError("%d of %s were refused, for the reasons above", refused, counted(len(args), "trade"))
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
