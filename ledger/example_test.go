package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/ledger"
)

func event(trade string, t capture.EventType) capture.Event {
	return capture.Event{ID: trade + "-" + string(t), Type: t, TradeID: trade, Time: time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)}
}

// Two writers have seen the same events of a trade. One append succeeds; the
// other writer reads again and decides again.
func ExampleLedger() {
	ctx := context.Background()
	var l ledger.Ledger = &ledger.Memory{}

	seq, err := l.Append(ctx, event("T-1", capture.Attempted), 0)
	fmt.Println(seq, err)

	_, err = l.Append(ctx, event("T-1", capture.Captured), seq)
	fmt.Println(err)

	_, err = l.Append(ctx, event("T-1", capture.Failed), seq)
	fmt.Println(errors.Is(err, ledger.ErrConflict))

	trade, err := l.LoadLatest(ctx, "T-1")
	fmt.Println(trade.State().Phase, trade.Seq, err)
	// Output:
	// 1 <nil>
	// <nil>
	// true
	// captured 2 <nil>
}

// A ledger in JetStream. EnsureStream creates the stream and returns the settings
// of an existing one that do not suit the ledger.
func ExampleNewJetStream() {
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server, err := natsserver.Start(natsserver.Options{StoreDir: dir}) // in production: your NATS servers
	if err != nil {
		log.Fatal(err)
	}
	defer server.Shutdown()
	nc, err := nats.Connect(server.URL())
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	findings, err := ledger.EnsureStream(ctx, js, ledger.StreamConfig{})
	fmt.Println(len(findings), err)
	l := ledger.NewJetStream(js, ledger.Options{})
	if _, err := l.Append(ctx, event("T-1", capture.Attempted), 0, ledger.WithHeaders(nats.Header{"shop": {"berlin"}})); err != nil {
		log.Fatal(err)
	}
	for entry, err := range l.Watch(ctx, 1) {
		fmt.Println(entry.Seq, entry.Event.TradeID, entry.Event.Type, err)
		break
	}
	trade, err := l.Load(ctx, "T-1")
	fmt.Println(trade.Headers, err)
	// Output:
	// 0 <nil>
	// 1 T-1 attempted <nil>
	// map[shop:[berlin]] <nil>
}

func ExampleTradesWith() {
	ctx := context.Background()
	l := &ledger.Memory{}
	for _, trade := range []string{"T-1", "T-2"} {
		if _, err := l.Append(ctx, event(trade, capture.Attempted), 0); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := l.Append(ctx, event("T-2", capture.Parked), 2); err != nil {
		log.Fatal(err)
	}
	for trade, err := range ledger.TradesWith(ctx, l, capture.Parked) {
		fmt.Println(trade, err)
	}
	// Output:
	// T-2 <nil>
}
