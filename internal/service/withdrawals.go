package service

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/metrics"
	"github.com/capture-worker/capture-worker/internal/records"
	"github.com/capture-worker/capture-worker/internal/withdrawals"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

// ordersTimeout limits the wait for the withdrawn orders: no job is taken before they
// are known.
const ordersTimeout = time.Minute

// recordsTimeout limits the wait for the records.
const recordsTimeout = 10 * time.Second

// NewOrderTrades returns what finds the trades of orders: in the records, if there
// are any, and else, or for what the records do not have yet, in the ledger. warn gets
// why the records cannot be used.
func NewOrderTrades(c config.Config, js jetstream.JetStream, stored *ledger.JetStream, warn func(error)) *withdrawals.LedgerTrades {
	trades := &withdrawals.LedgerTrades{Search: stored.TradesOfOrders}
	if dsn := ReadableRecords(c); dsn != "" {
		trades.Known = func(ctx context.Context, orders []string) (map[string][]string, uint64) {
			found, upTo, err := recordedTrades(ctx, string(dsn), c, js, orders)
			if err != nil {
				warn(err)
				return nil, 0
			}
			return found, upTo
		}
	}
	return trades
}

// recordedTrades returns the trades of the orders in the records, and the sequence of
// the ledger up to which the records have them.
func recordedTrades(ctx context.Context, dsn string, c config.Config, js jetstream.JetStream, orders []string) (found map[string][]string, upTo uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, recordsTimeout)
	defer cancel()
	store, err := records.OpenReader(ctx, dsn, records.Options{Window: c.Gateway.Window})
	if err != nil {
		return nil, 0, err
	}
	defer store.Close()
	// Before the look-ups: the records may get more meanwhile.
	lag, err := store.Lag(ctx, js, records.SourceLedger, c.Ledger.Stream)
	if err != nil {
		return nil, 0, err
	}
	found = map[string][]string{}
	for _, order := range orders {
		for page := (records.Page{Limit: records.MaxLimit}); ; {
			got, err := store.TradesOfOrder(ctx, order, page)
			if err != nil {
				return nil, 0, err
			}
			for _, t := range got.Items {
				found[order] = append(found[order], t.Key)
			}
			if page.Cursor = got.Next; page.Cursor == "" {
				break
			}
		}
	}
	return found, lag.Applied, nil
}

// newWithdrawals returns the consumer of the withdrawals, and what knows the
// withdrawn orders.
func newWithdrawals(ctx context.Context, c config.Config, js jetstream.JetStream, stored *ledger.JetStream, recorder *reconcile.Recorder, log *slog.Logger) (*withdrawals.Consumer, *withdrawals.Orders, error) {
	decoder, err := capture.NewWithdrawalDecoder(c.WithdrawalMapping())
	if err != nil {
		return nil, nil, err
	}
	messages, err := js.Consumer(ctx, c.Withdrawals.Stream, c.WithdrawalConsumer())
	if err != nil {
		return nil, nil, err
	}
	warn := func(err error) {
		log.Warn("records not used to find the trades of withdrawn orders", "error", err)
	}
	consumer := &withdrawals.Consumer{
		Messages: messages, Decoder: decoder, Recorder: recorder, Trades: NewOrderTrades(c, js, stored, warn),
		DeadLetters: deadletter.Store{JS: js}, For: c.Gateway.Window, Log: log, Counts: withdrawals.NewCounts(),
		RetryInitial: c.Worker.Retry.Initial, RetryMax: c.Worker.Retry.Max,
	}
	orders := &withdrawals.Orders{
		JS: js, Stream: c.Withdrawals.Stream, Subjects: c.Withdrawals.Subjects, Decoder: decoder, For: c.Gateway.Window, Log: log,
	}
	return consumer, orders, nil
}

// withdrawalPassedOver takes a withdrawal that withdrawals.match does not select: if
// it was one, a capture that is not wanted continues.
func (s *Service) withdrawalPassedOver(m jetstream.Msg, unmet *capture.MatchError) {
	p := controls.PassedOver{Why: *unmet}
	p.TradeID, p.OrderID = s.withdrawals.Decoder.Hint(m.Headers(), m.Data())
	if meta, err := m.Metadata(); err == nil {
		p.Stream, p.Sequence, p.Published = meta.Stream, meta.Sequence.Stream, meta.Timestamp
	}
	s.metrics.PassedOver(p.Why, p.TradeID != "" || p.OrderID != "")
	s.passedOver.Withdrawal(p)
}

// gaugeWithdrawals adds the series of the withdrawals to m. waiting is kept by
// pollWithdrawals.
func gaugeWithdrawals(m *metrics.Metrics, counts withdrawals.Counts, waiting *atomic.Int64) {
	m.Counters("capture_withdrawals_total", "Withdrawals that this process has processed, by result, for each of their trades.", "result", counts)
	m.Gauge("capture_withdrawals_waiting", "Withdrawals that are not finished, those of orders without a known trade included, for all workers.",
		func() float64 { return float64(waiting.Load()) })
}

// pollWithdrawals updates the number of withdrawals that are not finished, until ctx
// ends. If the broker does not answer, the last number stays.
func pollWithdrawals(ctx context.Context, consumer jetstream.Consumer, waiting *atomic.Int64) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if info, err := consumer.Info(ctx); err == nil {
			waiting.Store(int64(info.NumPending) + int64(info.NumAckPending))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
