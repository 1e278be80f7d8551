package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/internal/preflight"
	"github.com/capture-worker/capture-worker/internal/service"
	"github.com/capture-worker/capture-worker/internal/withdrawals"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

const withdrawLong = `Says that trades are not to be captured any more, because their order was returned
or cancelled. A withdrawn event with who and why is appended to each of them, and no
further capture call is made. Only "retry" reopens a withdrawn trade.

Without a capture call so far the trade is not captured: its outcome is failed, with
the reason withdrawn, when its job comes or comes again. If a call is under way or in
doubt, Order Query decides: paid stays captured, otherwise the trade fails as
withdrawn. A captured trade stays captured, and the answer says since when.

With --order every trade of the order is withdrawn, also those whose jobs come
later: the withdrawal is published to --subject, and the workers keep it as long as
a trade that is authorized now can be captured (gateway.window). If no trade of the
order has become known by then, it becomes a dead letter.

A withdrawal does not release the authorization at the gateway (v3.CancelPayment), so
that the customer's money may stay reserved until it expires: cancel the payment at
the gateway too. Nor does it refund a captured trade.

Exit codes: 0 withdrawn, nothing is captured; 1 it failed; 2 wrong usage or
configuration; 3 some trades are captured, in doubt or parked.`

// withdrawing is one run of withdraw.
type withdrawing struct {
	order, why, by, subject string

	out   io.Writer
	errs  io.Writer
	o     *ledgerDeps
	other int // trades that are captured, in doubt or parked
}

func newWithdrawCmd(a *app) *cobra.Command {
	w := &withdrawing{}
	cmd := &cobra.Command{
		Use:   "withdraw [TRADE...]",
		Short: "Withdraw trades or an order, so that nothing is captured any more",
		Long:  withdrawLong,
		Example: `  capture-worker withdraw 160899f3-f6d9-a8d8-ab5b-82eacdab9c5b --reason 'returned before it was shipped'
  capture-worker withdraw --order A-1001 --reason 'cancelled by the customer'`,
	}
	f := cmd.Flags()
	f.StringVar(&w.order, "order", "", "the shop's order `id`, instead of trades")
	f.StringVar(&w.why, "reason", "", "why; required")
	f.StringVar(&w.by, "by", "", "who, if not the user of this machine")
	f.StringVar(&w.subject, "subject", preflight.WithdrawSubject, "`subject` to publish the withdrawal of an order to")
	addSettings(cmd, "nats", "jobs", "withdrawals", "ledger", "gateway", "reconcile", "records", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		if err := w.check(args); err != nil {
			return err
		}
		w.out, w.errs = cmd.OutOrStdout(), cmd.ErrOrStderr()
		return a.withLedger(cmd, func(ctx context.Context, o *ledgerDeps) error {
			w.o = o
			return w.run(ctx, args)
		})
	})
	return cmd
}

func (w *withdrawing) check(trades []string) (err error) {
	if (len(trades) > 0) == (w.order != "") {
		return usageError("name trades, or an order with --order; not both")
	}
	if err := checkReason(w.why); err != nil {
		return err
	}
	if err := checkNote("--order", w.order); err != nil {
		return err
	}
	if w.by, err = actor(w.by); err != nil {
		return err
	}
	return checkTrades(trades)
}

func (w *withdrawing) run(ctx context.Context, trades []string) error {
	request := reconcile.WithdrawalRequest{By: w.by, Note: w.why}
	if w.order != "" {
		if err := w.checkOrder(); err != nil {
			return err
		}
		var origin withdrawals.Origin
		act := acts.Act{Act: acts.Withdraw, By: w.by, Reason: w.why, About: "order " + w.order}
		err := recorder(w.o.c, w.o.js).Do(ctx, act, func() (err error) {
			origin, err = w.publish(ctx)
			return err
		})
		if err != nil {
			return fmt.Errorf("nothing was withdrawn: %w", err)
		}
		request = origin.Request(w.message())
		if trades, err = w.tradesOf(ctx); err != nil {
			return fmt.Errorf("the withdrawal is message %d of stream %s, and the workers process it; its trades could not be looked up: %w",
				origin.Sequence, origin.Stream, err)
		}
		w.explainOrder(origin, len(trades))
	}
	for _, trade := range trades {
		request.TradeID = trade
		done, err := w.o.recorder.Withdraw(ctx, request)
		if err != nil {
			return err
		}
		w.answer(trade, done)
	}
	if w.other > 0 {
		return foundError("%s not withdrawn in time, see above", counted(w.other, "trade"))
	}
	return nil
}

func (w *withdrawing) message() capture.Withdrawal {
	return capture.Withdrawal{OrderID: w.order, Reason: w.why, By: w.by}
}

// publish stores the withdrawal of the order, so that every worker knows it and it is
// tried again until a trade of the order is known.
func (w *withdrawing) publish(ctx context.Context) (withdrawals.Origin, error) {
	c := w.o.c
	body, err := json.Marshal(w.message())
	if err != nil {
		return withdrawals.Origin{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, rowTimeout)
	defer cancel()
	stream, err := w.o.js.Stream(ctx, c.Withdrawals.Stream)
	if err != nil {
		return withdrawals.Origin{}, fmt.Errorf("stream %s: %w", c.Withdrawals.Stream, err)
	}
	id := nuid.Next()
	msg := nats.NewMsg(w.subject)
	msg.Data = body
	msg.Header.Set(capture.WithdrawalHeader, id)
	ack, err := w.o.js.PublishMsg(ctx, msg, jetstream.WithMsgID("capture-withdrawal-"+id), jetstream.WithExpectStream(c.Withdrawals.Stream))
	if err != nil {
		return withdrawals.Origin{}, fmt.Errorf("not acknowledged as stored on %s: %w", w.subject, err)
	}
	stored, err := stream.GetMsg(ctx, ack.Sequence)
	if err != nil {
		return withdrawals.Origin{}, fmt.Errorf("reading message %d of stream %s: %w", ack.Sequence, ack.Stream, err)
	}
	return withdrawals.Origin{Stream: ack.Stream, Subject: stored.Subject, Sequence: stored.Sequence, Stored: stored.Time}, nil
}

// checkOrder reads the withdrawal as a worker does, before anything is recorded.
func (w *withdrawing) checkOrder() error {
	if err := checkCovered(w.subject, "withdrawals.subjects", w.o.c.Withdrawals.Subjects); err != nil {
		return err
	}
	body, err := json.Marshal(w.message())
	if err != nil {
		return err
	}
	decoder, err := capture.NewWithdrawalDecoder(capture.Mapping{})
	if err != nil {
		return err
	}
	if _, err = decoder.Decode(nil, body); err != nil {
		return usageError("--order is %q: %s", w.order, jobfile.Reason(err))
	}
	return nil
}

// tradesOf returns the trades of the order that the ledger knows.
func (w *withdrawing) tradesOf(ctx context.Context) ([]string, error) {
	stored := ledger.NewJetStream(w.o.js, ledger.Options{Stream: w.o.c.Ledger.Stream})
	warn := func(err error) { fmt.Fprintf(w.errs, "the records (records.dsn) are not used: %v\n", err) }
	found, err := service.NewOrderTrades(w.o.c, w.o.js, stored, warn).TradesOf(ctx, []string{w.order})
	return found[w.order], err
}

func (w *withdrawing) explainOrder(origin withdrawals.Origin, known int) {
	until := origin.Stored.Add(w.o.c.Gateway.Window).UTC().Format(time.DateTime)
	if known == 0 {
		fmt.Fprintf(w.out, "order %s  no trade is known yet; the withdrawal is kept (message %d of stream %s): jobs that name the order are not captured until %s UTC\n",
			w.order, origin.Sequence, origin.Stream, until)
		return
	}
	fmt.Fprintf(w.out, "order %s  %s in the ledger; further jobs that name the order are not captured until %s UTC (message %d of stream %s)\n",
		w.order, counted(known, "trade"), until, origin.Sequence, origin.Stream)
}

// answer prints what the withdrawal came to for a trade.
func (w *withdrawing) answer(trade string, done reconcile.Withdrawal) {
	text := w.explain(trade, done)
	if done.Repeated && done.Result != reconcile.WithdrawalRetried {
		text += " (it was withdrawn before)"
	}
	fmt.Fprintf(w.out, "%s  %s\n", trade, text)
	if done.Result != reconcile.WithdrawalInTime {
		w.other++
	}
}

func (w *withdrawing) explain(trade string, done reconcile.Withdrawal) string {
	s := done.State
	show := fmt.Sprintf("see `capture-worker show %s`", trade)
	switch done.Result {
	case reconcile.WithdrawalTooLate:
		return fmt.Sprintf("too late: captured %s at %s UTC (event %s); only a refund at the gateway returns the money",
			s.Outcome.Sum(), s.Outcome.Time.UTC().Format(time.DateTime), s.Outcome.ID)
	case reconcile.WithdrawalParked:
		return fmt.Sprintf("parked (%s): its money may be taken; no further capture call is made, and an operator has to settle it: %s", s.Outcome.Reason, show)
	case reconcile.WithdrawalRetried:
		return "an operator has retried it since it was withdrawn: " + show
	case reconcile.WithdrawalInDoubt:
		return w.doubt(s) + ": " + show
	}
	switch {
	case s.Outcome != nil:
		return fmt.Sprintf("not captured, and will not be: %s (%s)", s.Outcome.Type, s.Outcome.Reason)
	case s.Job.TradeID == "":
		return "not captured, and will not be: no job has named it yet; one that does is acknowledged without a capture call"
	}
	return "not captured, and will not be: its outcome is failed (withdrawn) when its job is delivered again"
}

// doubt says what is in doubt, and what follows.
func (w *withdrawing) doubt(s capture.State) string {
	const decides = "no further capture call is made; if Order Query says paid it stays captured"
	policy := w.o.recorder.Policy.OrDefault()
	switch {
	case !s.NotifiedPaid.IsZero():
		return fmt.Sprintf("in doubt: a notification says paid; %s, else it is parked from %s UTC on", decides,
			s.NotifiedPaid.Add(policy.AnswersFor).UTC().Format(time.DateTime))
	case s.Unanswered && time.Now().Before(s.LeaseUntil):
		return fmt.Sprintf("in doubt: capture call %d is under way until %s UTC at the latest; %s, else it fails as withdrawn",
			s.Call, s.LeaseUntil.UTC().Format(time.DateTime), decides)
	}
	return fmt.Sprintf("in doubt: a capture call may have taken effect; %s, else it fails as withdrawn when queries have agreed for %s after call %d",
		decides, config.FormatDuration(policy.Final), s.Call)
}
