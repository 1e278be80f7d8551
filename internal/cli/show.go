package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/service"
	"github.com/capture-worker/capture-worker/ledger"
)

func newShowCmd(a *app) *cobra.Command {
	var output, order string
	cmd := &cobra.Command{
		Use:   "show [TRADE]",
		Short: "Show what happened to a trade, and the evidence",
		Long: `Prints every event of a trade from the ledger: each intent, the answer to each
call and query, and the rule that led to the outcome. The rules are explained in
docs/state-machine.md.

With --order it looks for the trades of a shop's order. That reads the whole
ledger, which takes long if it is large.

Dead letters about the trade that need an operator are listed too. If the ledger
has no events of the trade, the command looks for its job: in the dead letters,
in the waiting jobs and in those that are done (the job of a second order that
the same trade paid is in no event), and among the messages that jobs.match
passed over, with the condition that they failed. It prints what it found, and
how many jobs it checked if these were not all, and exits with code 1.`,
		Example: `  capture-worker show 160899f3-f6d9-a8d8-ab5b-82eacdab9c5b
  capture-worker show 160899f3-f6d9-a8d8-ab5b-82eacdab9c5b -o json
  capture-worker show --order A-1001`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`format`: text or json")
	cmd.Flags().StringVar(&order, "order", "", "the shop's order `id`, instead of a trade")
	addSettings(cmd, showSettings...)
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		if (len(args) == 1) == (order != "") {
			return usageError("name one trade, or an order with --order")
		}
		trade := ""
		if order == "" {
			trade = args[0]
		}
		return a.show(cmd, trade, order, output)
	})
	return cmd
}

var showSettings = []string{"nats", "jobs", "ledger", "reconcile", "log"}

// show prints the history of a trade, or else of the trades of an order. If the
// ledger has none, the error says where the job is.
func (a *app) show(cmd *cobra.Command, trade, order, output string) error {
	if output != "text" && output != "json" {
		return usageError("--output is %q: must be text or json", output)
	}
	return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
		if err := ledger.CheckTradeID(trade); order == "" && err != nil {
			return usageError("%w; the order of a shop is named with --order", err)
		}
		warn := func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) }
		reader, err := history.NewReader(ctx, js, c, service.Policy(c), warn)
		if err != nil {
			return err
		}
		write := writeHistory(cmd.OutOrStdout(), output)
		if order == "" {
			err = showTrade(ctx, reader, trade, write)
		} else {
			err = showOrder(ctx, reader, order, write, warn)
		}
		if errors.Is(err, history.ErrUnknown) {
			err = fmt.Errorf("%w\n%s", err, strings.Join(reader.Explain(ctx, trade, order), "\n"))
		}
		return err
	})
}

// writeHistory returns a function that prints one history after the other.
func writeHistory(w io.Writer, output string) func(history.Trade) error {
	first := true
	return func(t history.Trade) error {
		if output == "json" {
			return writeJSON(w, t)
		}
		if !first {
			fmt.Fprintln(w)
		}
		first = false
		return t.WriteText(w)
	}
}

func showTrade(ctx context.Context, r *history.Reader, trade string, write func(history.Trade) error) error {
	t, err := r.Trade(ctx, trade)
	if err != nil {
		return err
	}
	return write(t)
}

func showOrder(ctx context.Context, r *history.Reader, order string, write func(history.Trade) error, warn func(string)) error {
	shown := map[string]bool{}
	err := r.Order(ctx, order, func(t history.Trade) error {
		shown[t.TradeID] = true
		return write(t)
	})
	if err != nil {
		return err
	}
	for _, line := range append(r.PendingAbout(order, shown), r.PassedOverAbout(order, shown)...) {
		warn(line)
	}
	return nil
}
