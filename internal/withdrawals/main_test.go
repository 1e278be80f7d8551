package withdrawals_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natstest"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/internal/withdrawals"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, processtest.Leftovers()) }

// world is a broker with the streams of a worker, and what takes withdrawals.
type world struct {
	t        *testing.T
	js       jetstream.JetStream
	ledger   *ledger.JetStream
	recorder *reconcile.Recorder
	consumer *withdrawals.Consumer
	orders   *withdrawals.Orders
}

func newWorld(t *testing.T, m capture.Mapping) *world {
	t.Helper()
	w := &world{t: t, js: natstest.JetStream(t)}
	if _, err := ledger.EnsureStream(t.Context(), w.js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	cfg := jobstream.Config{
		Jobs: "CAPTURE_JOBS", Subjects: []string{"capture.jobs.>"}, DLQ: "CAPTURE_DLQ", Replicas: 1, AckWait: processtest.Patience, MaxAckPending: 1000,
		Withdrawals: jobstream.Withdrawals{Stream: "CAPTURE_WITHDRAWALS", Subjects: []string{"capture.withdrawals.>"}, Consumer: "capture-worker-withdrawals"},
	}
	if _, err := jobstream.Ensure(t.Context(), w.js, cfg); err != nil {
		t.Fatal(err)
	}
	messages, err := w.js.Consumer(t.Context(), cfg.Withdrawals.Stream, cfg.Withdrawals.Consumer)
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := capture.NewWithdrawalDecoder(m)
	if err != nil {
		t.Fatal(err)
	}
	w.ledger = ledger.NewJetStream(w.js, ledger.Options{})
	w.recorder = &reconcile.Recorder{Ledger: w.ledger, Worker: "w"}
	log := slog.New(slog.DiscardHandler)
	w.consumer = &withdrawals.Consumer{
		Messages: messages, Decoder: decoder, Recorder: w.recorder, Trades: &withdrawals.LedgerTrades{Search: w.ledger.TradesOfOrders},
		DeadLetters: deadletter.Store{JS: w.js}, For: time.Hour, RetryInitial: 10 * time.Millisecond, RetryMax: 50 * time.Millisecond,
		Log: log, Counts: withdrawals.NewCounts(),
	}
	w.orders = &withdrawals.Orders{
		JS: w.js, Stream: cfg.Withdrawals.Stream, Subjects: cfg.Withdrawals.Subjects, Decoder: decoder, For: time.Hour, Log: log,
	}
	return w
}

// run runs what takes withdrawals until the test ends.
func (w *world) run() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.consumer.Run(ctx) })
	running.Go(func() { w.orders.Follow(ctx) })
	w.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	if err := w.orders.Await(w.t.Context(), processtest.Patience); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) publish(body string) {
	w.t.Helper()
	if _, err := w.js.Publish(w.t.Context(), "capture.withdrawals.shop", []byte(body)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(trade string, e *capture.Event) {
	w.t.Helper()
	t, err := w.recorder.Reopen(w.t.Context(), trade)
	if err == nil {
		_, err = w.recorder.Record(w.t.Context(), t, e)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// seen writes what makes a trade of an order known, without a call.
func (w *world) seen(trade, order string) {
	w.t.Helper()
	amount, err := capture.ParseAmount("24.90", "EUR")
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(trade, &capture.Event{
		Type: capture.Queried, Via: capture.ViaQuery, Answer: &capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout"}, OrderID: order,
		Job: &capture.Job{TradeID: trade, Amount: amount, OrderID: order, Description: "x"},
	})
}

func (w *world) types(trade string) string {
	w.t.Helper()
	found, err := w.ledger.LoadLatest(w.t.Context(), trade)
	if err != nil {
		w.t.Fatal(err)
	}
	var types []string
	for _, e := range found.Events {
		types = append(types, string(e.Type))
	}
	return strings.Join(types, " ")
}

// counted waits until so many messages had a result.
func (w *world) counted(result string, n int64) {
	w.t.Helper()
	processtest.WaitFor(w.t, processtest.Patience, fmt.Sprintf("%d withdrawals are %s", n, result), func() bool {
		return w.consumer.Counts[result].Load() >= n
	})
}

// done waits until the consumer has finished everything.
func (w *world) done() {
	w.t.Helper()
	processtest.WaitFor(w.t, processtest.Patience, "all withdrawals are finished", func() bool {
		info, err := w.consumer.Messages.Info(w.t.Context())
		return err == nil && info.NumPending+uint64(info.NumAckPending) == 0
	})
}

// letters returns the reasons of the dead letters.
func (w *world) letters() (reasons []string) {
	w.t.Helper()
	for l, err := range (deadletter.Store{JS: w.js, Stream: "CAPTURE_DLQ"}).Messages(w.t.Context(), 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		reasons = append(reasons, l.Reason)
	}
	return reasons
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
