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
	var p paging
	var doneJobs int
	cmd := &cobra.Command{
		Use:   "show [TRADE]",
		Short: "Show what happened to a trade, and the evidence",
		Long: `Prints every event of a trade from the ledger: each intent, the answer to each
call and query, and the rule that led to the outcome. The rules are explained in
docs/state-machine.md.

With --order it looks for the trades of a shop's order, the newest first: in the
records (records.dsn) if there are any, and in what the ledger has beyond them.
Without records only the newest 10,000 events of the ledger are looked at, and the
command says so.

Dead letters about the trade that need an operator are listed too. If the ledger
has no events of the trade, the command looks for its job: in the dead letters,
in the waiting jobs and in those that are done (the job of a second order that
the same trade paid is in no event), and among the messages that jobs.match
passed over, with the condition that they failed. Of the jobs that are done it
checks the newest --done-jobs. It prints what it found, and how many jobs it
checked if these were not all, and exits with code 1.`,
		Example: `  capture-worker show 160899f3-f6d9-a8d8-ab5b-82eacdab9c5b
  capture-worker show 160899f3-f6d9-a8d8-ab5b-82eacdab9c5b -o json
  capture-worker show 160899f3-f6d9-a8d8-ab5b-82eacdab9c5b --limit 20
  capture-worker show --order A-1001`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`format`: text or json")
	cmd.Flags().StringVar(&order, "order", "", "the shop's order `id`, instead of a trade")
	cmd.Flags().IntVar(&p.limit, "limit", 0, "at most so many trades of an order, or the newest so many events of a trade; 0 is all")
	cmd.Flags().IntVar(&doneJobs, "done-jobs", history.DefaultDoneJobs, "of an unknown trade or order: how many of the newest done jobs are checked")
	cmd.Flags().StringVar(&p.after, "after", "", "continue the trades of an order from the `position` that the list ended with")
	addSettings(cmd, showSettings...)
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		if (len(args) == 1) == (order != "") {
			return usageError("name one trade, or an order with --order")
		}
		if p.after != "" && order == "" {
			return usageError("--after continues a list of trades: it needs --order")
		}
		trade := ""
		if order == "" {
			trade = args[0]
		}
		if doneJobs < 1 {
			return usageError("--done-jobs is %d: must be above zero", doneJobs)
		}
		return a.show(cmd, trade, order, output, p, doneJobs)
	})
	return cmd
}

var showSettings = []string{"nats", "jobs", "withdrawals", "ledger", "gateway", "reconcile", "records", "log"}

// show prints the history of a trade, or else of the trades of an order. If the
// ledger has none, the error says where the job is.
func (a *app) show(cmd *cobra.Command, trade, order, output string, p paging, doneJobs int) error {
	if output != "text" && output != "json" {
		return usageError("--output is %q: must be text or json", output)
	}
	if err := p.check(); err != nil {
		return err
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
		reader.DoneJobs = doneJobs
		if order == "" {
			err = showTrade(ctx, reader, trade, writeHistory(cmd.OutOrStdout(), output, p.limit))
		} else {
			found := openLookup(ctx, js, c, warn)
			defer found.close()
			err = showOrder(ctx, reader, found, order, p, writeHistory(cmd.OutOrStdout(), output, 0))
		}
		if errors.Is(err, history.ErrUnknown) {
			err = fmt.Errorf("%w\n%s", err, strings.Join(reader.Explain(ctx, trade, order), "\n"))
		}
		return err
	})
}

// writeHistory returns a function that prints one history after the other, of each
// the newest events.
func writeHistory(w io.Writer, output string, events int) func(history.Trade) error {
	first := true
	return func(t history.Trade) error {
		t.Newest(events)
		if output == "json" {
			t.Events = t.Events[t.Earlier:]
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

// showOrder prints the trades of an order, and then what was looked at.
func showOrder(ctx context.Context, r *history.Reader, l *lookup, order string, p paging, write func(history.Trade) error) error {
	found, err := l.ofOrder(ctx, order, p)
	if err != nil {
		return err
	}
	shown := map[string]bool{}
	err = r.Order(ctx, order, found.each(), func(t history.Trade) error {
		shown[t.TradeID] = true
		return write(t)
	})
	if found.note != "" {
		l.warn(found.note)
	}
	if errors.Is(err, history.ErrUnknown) && len(found.ids) > 0 {
		l.warn(fmt.Sprintf("the records hold these trades of it, of which the ledger keeps no events any more: %s", strings.Join(found.ids, ", ")))
	}
	if err != nil {
		return err
	}
	for _, line := range append(r.PendingAbout(order, shown), r.PassedOverAbout(order, shown)...) {
		l.warn(line)
	}
	if found.next != "" {
		l.warn(p.more(found.next))
	}
	return nil
}
