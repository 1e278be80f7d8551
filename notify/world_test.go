package notify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/notify"
	"github.com/capture-worker/capture-worker/reconcile"
)

const secret gateway.Secret = "current-key"

// world is a handler over a ledger in memory and a gateway that says what the
// test wants.
type world struct {
	t        *testing.T
	handler  *notify.Handler
	recorder *reconcile.Recorder
	ledger   ledger.Ledger
	queries  atomic.Int64
	state    atomic.Pointer[capture.OrderState] // what Order Query says
	shut     atomic.Bool
	slow     chan struct{} // where set, queries wait for it
	ahead    atomic.Int64  // of the real clock
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *world) later(d time.Duration) { w.ahead.Add(int64(d)) }

func newWorld(t *testing.T, change func(*notify.Config, *world)) *world {
	t.Helper()
	w := &world{t: t, ledger: &ledger.Memory{}}
	w.says(capture.OrderPaid)
	ids := atomic.Int64{}
	cfg := notify.Config{
		Secrets: func() []gateway.Secret { return []gateway.Secret{secret} },
		Query:   w.query, Limiter: w, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg, w)
	}
	w.recorder = &reconcile.Recorder{
		Ledger: w.ledger, Worker: "listener", Now: w.now, Log: cfg.Log,
		Policy:   capture.Policy{Settle: 45 * time.Second, Agree: 2, Spacing: 5 * time.Second, GiveUpAfter: 72 * time.Hour},
		Schedule: reconcile.Schedule{QuickInitial: time.Second, QuickMax: time.Second, QuickTotal: time.Second, SlowInitial: time.Minute, SlowMax: time.Minute},
		NewID:    func() string { return fmt.Sprintf("e%d", ids.Add(1)) },
	}
	cfg.Recorder = w.recorder
	handler, err := notify.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.handler = handler
	return w
}

// close drains, with time enough.
func (w *world) close() {
	ctx, cancel := context.WithTimeout(context.Background(), processtest.Patience)
	defer cancel()
	if err := w.handler.Close(ctx); err != nil {
		w.t.Errorf("closing: %v", err)
	}
}

func (w *world) says(s capture.OrderState) { w.state.Store(&s) }

func (w *world) query(ctx context.Context, id string) capture.Answer {
	w.queries.Add(1)
	if w.slow != nil {
		select {
		case <-w.slow:
		case <-ctx.Done():
			return capture.Answer{Kind: capture.AnswerUnknown, Why: "cut short"}
		}
	}
	return capture.Answer{Kind: capture.AnswerDone, Code: capture.CodeSuccess, Order: &capture.Order{
		TradeID: id, State: *w.state.Load(), Amount: sum,
	}}
}

// Acquire and Do make the world its own limiter.
func (w *world) Acquire(ctx context.Context) (func(), error) {
	if w.shut.Load() {
		return nil, fmt.Errorf("the gateway is shut")
	}
	return func() {}, ctx.Err()
}

func (w *world) Do(ctx context.Context, call func(context.Context) capture.Answer) capture.Answer {
	return call(ctx)
}

var sum = func() capture.Amount {
	a, err := capture.ParseAmount("24.99", "EUR")
	if err != nil {
		panic(err)
	}
	return a
}()

// announced puts the intent of a call into the ledger; its lease ends then.
func (w *world) announced(trade string, leaseEnds time.Time) {
	w.t.Helper()
	w.append(trade, capture.Event{
		Type: capture.Attempted, Attempt: 1, Call: 1, RequestID: "request" + trade, LeaseUntil: leaseEnds,
		Job: &capture.Job{TradeID: trade, Amount: sum},
	})
}

// ended writes an outcome for the trade.
func (w *world) ended(trade string, t capture.EventType, reason string) {
	w.t.Helper()
	w.append(trade, capture.Event{Type: t, Reason: reason, Amount: sum.Number(), Currency: sum.Currency()})
}

func (w *world) append(trade string, e capture.Event) {
	w.t.Helper()
	opened, err := w.recorder.Open(w.t.Context(), trade)
	if err == nil {
		_, err = w.recorder.Record(w.t.Context(), opened, &e)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) phase(trade string) capture.Phase {
	opened, err := w.recorder.Open(context.Background(), trade)
	if err != nil {
		w.t.Error(err)
	}
	return opened.State.Phase
}

func (w *world) count(trade string, types ...capture.EventType) (n int) {
	loaded, err := w.ledger.Load(context.Background(), trade)
	if err != nil {
		w.t.Error(err)
	}
	for _, e := range loaded.Events {
		for _, t := range types {
			if e.Type == t {
				n++
			}
		}
	}
	return n
}

// post sends a body to the handler and returns the answer.
func (w *world) post(body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/notify", strings.NewReader(body))
	return w.serve(r)
}

func (w *world) serve(r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	return answer
}

func (w *world) want(answer *httptest.ResponseRecorder, status int) {
	w.t.Helper()
	body, _ := io.ReadAll(answer.Body)
	if answer.Code != status || (status == http.StatusOK) != (string(body) == "ok") {
		w.t.Errorf("answered %d %q, want %d", answer.Code, body, status)
	}
}

func data(trade, state string) map[string]string {
	return map[string]string{
		"type": "payment", "user": "016683", "order_id": "G1", "trade_id": trade, "transaction_id": "tx" + trade,
		"amount": "24.99", "currency": "EUR", "state": state,
	}
}

// signed is a notification in the plain form.
func signed(key gateway.Secret, d map[string]string) string {
	b, err := json.Marshal(map[string]any{"sign": gateway.Sign(key, d), "data": d})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func formField(key gateway.Secret, d map[string]string) string {
	return "resultData=" + url.QueryEscape(signed(key, d))
}

func dotted(key gateway.Secret, d map[string]string) string {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return gateway.Sign(key, d) + "." + string(b)
}

// eventually polls with a deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	processtest.WaitFor(t, processtest.Patience, what, ok)
}
