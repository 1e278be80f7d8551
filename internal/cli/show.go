package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/service"
	"github.com/capture-worker/capture-worker/ledger"
)

var errUnknownTrade = errors.New("the ledger knows no trade")

func newShowCmd(a *app) *cobra.Command {
	var output, order string
	cmd := &cobra.Command{
		Use:   "show [TRADE]",
		Short: "Tell what happened to a trade, and how we know",
		Long: `Prints every event of a trade from the ledger: what was intended, what each
call answered, what each query saw, and the rule that led to the outcome. The
rules are explained in docs/state-machine.md.

With --order it looks for the trade of a shop's order; that reads the whole
ledger and takes its time on a large one.

Dead letters about the trade that wait for a person are named beside its story.
Where the ledger knows nothing it looks for a dead letter about the trade or
order, for a job that waits, and for one that is done: that of a second order
which the same trade paid is in no event. It says what it found, and how many
jobs it looked at where these were not all, and ends with exit code 1.`,
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

// show tells of a trade, or else of an order; where the ledger does not know it,
// where its job is.
func (a *app) show(cmd *cobra.Command, trade, order, output string) error {
	if output != "text" && output != "json" {
		return usageError("--output is %q: must be text or json", output)
	}
	return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
		book := ledger.NewJetStream(js, ledger.Options{Stream: c.Ledger.Stream})
		shown := showing{w: cmd.OutOrStdout(), notes: cmd.ErrOrStderr(), book: book, policy: service.Policy(c), output: output}
		shown.letters = sync.OnceValue(func() []letterLine { return waitingLetters(ctx, js, c, shown.notes) })
		var err error
		if order != "" {
			err = shown.order(ctx, order)
		} else {
			err = shown.trade(ctx, trade)
		}
		if errors.Is(err, errUnknownTrade) {
			job := elsewhere{js: js, book: book, c: c, trade: trade, order: order, most: maxDone}
			err = fmt.Errorf("%w%s", err, job.explain(ctx))
		}
		return err
	})
}

// showing tells stories of trades from the ledger.
type showing struct {
	w, notes io.Writer
	book     ledger.Ledger
	policy   capture.Policy      // by which the workers decide what comes next
	letters  func() []letterLine // the dead letters that wait, whatever they are about
	output   string
}

func (s showing) trade(ctx context.Context, id string) error {
	if err := ledger.CheckTradeID(id); err != nil {
		return usageError("%w; the order of a shop is named with --order", err)
	}
	found, err := s.book.LoadLatest(ctx, capture.TradeKey(id))
	if err != nil {
		return err
	}
	if len(found.Events) == 0 {
		return fmt.Errorf("%w %s: no job for it was begun, or it is older than the ledger keeps (ledger.max_age)", errUnknownTrade, id)
	}
	letters := lettersOf(s.letters(), id)
	if s.output == "json" {
		return printTradeJSON(s.w, found, letters)
	}
	return printTimeline(s.w, found, letters, s.policy)
}

// order looks through the ledger. A shop may have split an order into several
// trades, so all of them are shown.
func (s showing) order(ctx context.Context, order string) error {
	shown := map[string]bool{}
	for id, err := range s.book.Trades(ctx, ledger.Filter{}) {
		if err != nil {
			return err
		}
		trade, err := s.book.Load(ctx, id)
		if err != nil {
			return err
		}
		if !slices.Contains(ordersOf(trade.Events), order) {
			continue
		}
		if len(shown) > 0 && s.output == "text" {
			fmt.Fprintln(s.w)
		}
		shown[id] = true
		if err := s.trade(ctx, id); err != nil {
			return err
		}
	}
	if len(shown) == 0 {
		return fmt.Errorf("%w of order %q", errUnknownTrade, order)
	}
	printOrderLetters(s.notes, order, shown, s.letters())
	return nil
}

// ordersOf lists the orders that the jobs of a trade named, the first first. The
// shop may have taken the trade for another order later, and somebody still asks
// for the one before.
func ordersOf(events []capture.Event) []string {
	var orders []string
	add := func(order string) {
		if order != "" && !slices.Contains(orders, order) {
			orders = append(orders, order)
		}
	}
	for _, e := range events {
		add(e.OrderID)
		if e.Job != nil {
			add(e.Job.OrderID)
		}
	}
	return orders
}

func printTradeJSON(w io.Writer, t ledger.Trade, letters []letterLine) error {
	return writeJSON(w, struct {
		TradeID string          `json:"trade_id"`
		Phase   capture.Phase   `json:"phase"`
		Events  []capture.Event `json:"events"`
		Letters []letterLine    `json:"dead_letters,omitempty"` // about the trade, that wait
	}{t.ID, t.State().Phase, t.Events, letters})
}
