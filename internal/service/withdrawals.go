package service

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/metrics"
	"github.com/capture-worker/capture-worker/internal/withdrawals"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

// ordersTimeout limits the wait for the withdrawn orders: no job is taken before they
// are known.
const ordersTimeout = time.Minute

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
	consumer := &withdrawals.Consumer{
		Messages: messages, Decoder: decoder, Recorder: recorder, Trades: &withdrawals.LedgerTrades{Search: stored.TradesOfOrders},
		DeadLetters: deadletter.Store{JS: js}, For: c.Gateway.Window, Log: log, Counts: withdrawals.NewCounts(),
		RetryInitial: c.Worker.Retry.Initial, RetryMax: c.Worker.Retry.Max,
	}
	orders := &withdrawals.Orders{
		JS: js, Stream: c.Withdrawals.Stream, Subjects: c.Withdrawals.Subjects, Decoder: decoder, For: c.Gateway.Window, Log: log,
	}
	return consumer, orders, nil
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
