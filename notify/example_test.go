package notify_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/notify"
	"github.com/capture-worker/capture-worker/reconcile"
)

// A notification is recorded before it is answered, and its trade is resolved
// through Order Query after that.
func ExampleNew() {
	ctx := context.Background()
	recorder := &reconcile.Recorder{Ledger: &ledger.Memory{}, Worker: "listener"}
	job := capture.Job{TradeID: "T1", Amount: sum}
	if _, err := recorder.Record(ctx, &reconcile.Trade{ID: "T1"}, &capture.Event{
		Type: capture.Attempted, Attempt: 1, Call: 1, RequestID: gateway.NewRequestID(), Job: &job, LeaseUntil: time.Now(),
	}); err != nil {
		fmt.Println(err)
		return
	}
	handler, err := notify.New(notify.Config{
		Secrets:  func() []gateway.Secret { return []gateway.Secret{"example-key"} },
		Recorder: recorder,
		Query: func(context.Context, string) capture.Answer { // in production: gateway.Client.Query
			return capture.Answer{Kind: capture.AnswerDone, Order: &capture.Order{TradeID: "T1", State: capture.OrderPaid, Amount: sum}}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	body := signed("example-key", data("T1", "paid")) // what the gateway POSTs
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/notify", strings.NewReader(body)))
	fmt.Println(answer.Code, answer.Body)

	for handler.Stats().Resolved.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := handler.Close(ctx); err != nil {
		fmt.Println(err)
	}
	trade, err := recorder.Open(ctx, "T1")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(trade.State.Phase)
	// Output:
	// 200 ok
	// captured
}

// The zero configuration is refused by name.
func ExampleNew_missing() {
	_, err := notify.New(notify.Config{})
	fmt.Println(err)
	// Output: notification handler configuration: notify.Config.Secrets is not set, and there is no default
}
