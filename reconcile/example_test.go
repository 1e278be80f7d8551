package reconcile_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

// must keeps the examples short; a program handles its errors.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// exampleWorld is a gateway that holds a trade T1, paid, and T2, authorized,
// and a ledger in which the answer to T1's capture call was lost.
func exampleWorld() (client *gateway.Client, recorder *reconcile.Recorder, done func()) {
	sim := gatewaytest.New(gatewaytest.Options{User: "016683", Secret: "example-key", AllowEmptyNotifyURL: true})
	server := httptest.NewServer(sim)
	client = must(gateway.New(gateway.Config{
		URL: server.URL + gatewaytest.PaymentsPath, User: "016683", SecretKey: "example-key", Timeout: 30 * time.Second,
	}))
	sum := must(capture.ParseAmount("24.99", "EUR"))
	if err := sim.AddTrades(
		gatewaytest.Trade{TradeID: "T1", Amount: sum, State: capture.OrderPaid},
		gatewaytest.Trade{TradeID: "T2", Amount: sum},
	); err != nil {
		panic(err)
	}
	recorder = &reconcile.Recorder{
		Ledger: &ledger.Memory{}, // in production: ledger.NewJetStream(js, ledger.Options{})
		Worker: "nightly-check",
	}
	job := capture.Job{TradeID: "T1", Amount: sum}
	must(recorder.Record(context.Background(), &reconcile.Trade{ID: "T1"}, &capture.Event{
		Type: capture.Attempted, Attempt: 1, Call: 1, RequestID: "ca51f2fas3i0f8uiw7efj6oe", Job: &job, LeaseUntil: time.Now(),
	}))
	return client, recorder, func() { client.Close(); server.Close(); sim.Close() }
}

// One trade: ask the gateway, and write down what follows.
func ExampleResolver_Resolve() {
	client, recorder, done := exampleWorld()
	defer done()
	resolver := &reconcile.Resolver{Recorder: recorder, Query: client.Query}

	result, err := resolver.Resolve(context.Background(), "T1")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Before.Phase, "->", result.After.Phase)
	fmt.Println("because:", result.Event.Rule)
	// Output:
	// calling -> captured
	// because: paid
}

// A recorder needs a ledger and works with the defaults of everything else: the
// clock, the ids of events, the schedule, and the policy, which a worker with
// the default configuration has too.
func ExampleRecorder() {
	ctx := context.Background()
	recorder := &reconcile.Recorder{Ledger: &ledger.Memory{}, Worker: "back-office"}

	trade, err := recorder.Open(ctx, "T9")
	if err != nil {
		fmt.Println(err)
		return
	}
	// Another worker began it, and the answer to the call was lost.
	job := capture.Job{TradeID: "T9", Amount: must(capture.ParseAmount("24.99", "EUR"))}
	trade = must(recorder.Record(ctx, trade, &capture.Event{
		Type: capture.Attempted, Attempt: 1, Call: 1, RequestID: "ca51f2fas3i0f8uiw7efj6oe", Job: &job, LeaseUntil: time.Now(),
	}))
	asked := recorder.Ask(ctx, func(context.Context, string) capture.Answer { // in production: client.Query
		return capture.Answer{Kind: capture.AnswerDone, Order: &capture.Order{State: capture.OrderAuthorized, Amount: job.Amount}}
	}, "T9")
	trade, event, err := recorder.Apply(ctx, trade, nil, &asked)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(event.Type)
	// One early look proves nothing about a lost call: wait, then look again.
	next := capture.Decide(&trade.State, &job, time.Now(), recorder.Policy)
	fmt.Println(next.Do)
	// Without a ledger nothing is done.
	_, err = (&reconcile.Recorder{}).Open(ctx, "T9")
	fmt.Println(err)
	// Output:
	// queried
	// wait
	// reconcile.Recorder.Ledger: not set, and there is no default
}

// Many trades: what finance expects against the gateway and the ledger. The
// cursor, kept as JSON from time to time, lets a stopped run continue.
func ExampleBatch() {
	client, recorder, done := exampleWorld()
	defer done()
	sum := must(capture.ParseAmount("24.99", "EUR"))
	batch := reconcile.Batch{
		Resolver:    &reconcile.Resolver{Recorder: recorder, Query: client.Query},
		Concurrency: 8, Rate: 50,
	}
	var cursor reconcile.Cursor
	var lines []string
	expected := reconcile.Items(
		reconcile.Item{TradeID: "T1", Expected: sum},
		reconcile.Item{TradeID: "T2", Expected: sum},
		reconcile.Item{TradeID: "T3", Expected: sum},
	)
	for v, err := range batch.Run(context.Background(), expected, &cursor) {
		if err != nil {
			fmt.Println(err) // continue later, with the cursor
			break
		}
		lines = append(lines, fmt.Sprintf("%s %s: %s", v.TradeID, v.Kind, v.Why))
		cursor.Done(v)
	}
	slices.Sort(lines) // verdicts come as they are done
	for _, line := range lines {
		fmt.Println(line)
	}
	fmt.Println("done:", cursor.Next)
	// Output:
	// T1 not_in_ledger: the gateway has captured 24.99 EUR, but our ledger has no outcome yet
	// T2 not_captured: authorized and not captured, 29 days left; our ledger does not know the trade
	// T3 not_captured: the gateway knows no such trade (-4024), and our ledger does not know the trade
	// done: 3
}
