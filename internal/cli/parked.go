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
		Short: "See the trades that wait for a person, and send them back or close them",
		Long: `A trade is parked where the truth could not be learned, or is not what was asked
for. Every act of a person on one is an event in the ledger: who, when and why.`,
		Example: "  capture-worker parked list\n  capture-worker parked list --older-than 24h -o csv",
		Args:    cobra.NoArgs,
		RunE:    chooseOne,
	}
	cmd.AddCommand(newParkedListCmd(a), newParkedShowCmd(a), newParkedReleaseCmd(a), newParkedDismissCmd(a))
	return cmd
}

// parkedFlags are the filter of the parked commands.
type parkedFlags struct {
	reasonFlag                 string
	reason, currency, min, max string
	olderThan                  time.Duration
	dismissed                  bool
}

// add adds the flags of the filter. The one for the reason of parking has the
// name that the command has free: where a person gives a reason too, "only".
func (f *parkedFlags) add(cmd *cobra.Command, reasonFlag string) {
	fs := cmd.Flags()
	f.reasonFlag = "--" + reasonFlag
	fs.StringVar(&f.reason, reasonFlag, "", "only trades parked for this `reason`, such as unresolved")
	addDuration(fs, &f.olderThan, "older-than", 0, "only trades parked at least so long ago, such as 24h or 7d")
	fs.StringVar(&f.currency, "currency", "", "only this currency, such as EUR")
	fs.StringVar(&f.min, "amount-min", "", "only amounts from this one on; needs --currency")
	fs.StringVar(&f.max, "amount-max", "", "only amounts up to this one; needs --currency")
}

func (f *parkedFlags) set() bool {
	return f.reason != "" || f.olderThan != 0 || f.currency != "" || f.min != "" || f.max != ""
}

func (f *parkedFlags) filter() (reconcile.ParkedFilter, error) {
	filter := reconcile.ParkedFilter{Reason: f.reason, OlderThan: f.olderThan, Currency: f.currency, Dismissed: f.dismissed}
	if reasons := capture.ParkedReasons(); f.reason != "" && !slices.Contains(reasons, f.reason) {
		return filter, usageError("%s is %q: no trade is parked for such a reason; they are %s", f.reasonFlag, f.reason, strings.Join(reasons, ", "))
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

// office is what the commands for people work with: the ledger, and for those
// that ask the gateway its client.
type office struct {
	c        config.Config
	js       jetstream.JetStream
	book     ledger.Ledger
	recorder *reconcile.Recorder
	query    reconcile.Query
}

// withOffice connects, to the gateway too where it is needed.
func (a *app) withOffice(cmd *cobra.Command, use func(context.Context, *office) error, needs ...config.Need) error {
	return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
		// A read that meets no stream looks like a server that does not answer, and
		// is tried for long.
		if _, err := js.Stream(ctx, c.Ledger.Stream); errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("stream %s: %w", c.Ledger.Stream, err)
		}
		book := ledger.NewJetStream(js, ledger.Options{Stream: c.Ledger.Stream})
		// What the command has to tell it prints; the log is for trouble.
		recorder := service.NewRecorder(c, book, newLogger(quietLog(c), cmd.ErrOrStderr()))
		o := &office{c: c, js: js, book: book, recorder: recorder}
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

// quietLog is the configuration with a log of errors only, where nobody has
// set its level.
func quietLog(c config.Config) config.Log {
	if c.Origin("log.level").From == config.FromDefault {
		c.Log.Level = "error"
	}
	return c.Log
}
