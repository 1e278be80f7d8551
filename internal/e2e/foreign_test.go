//go:build unix

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const ordersStream = "ORDERS"

const foreignConfig = `
jobs:
  stream: ORDERS
  subjects: [orders.shipped]
  fields:
    trade_id: ['$.payments[?@.live == true].id', payment.tradeId]
    amount: {path: $.payment.total.value, unit: major}
    currency: payment.total.currency
    order_id: orderNumber
  match:
    - {path: kind, values: [Order.Shipped, order.sent], ignore_case: true}
    - {path: payment.live, value: "true"}
`

// TestForeignStreamIsUsedAsFound is an acceptance test: the stream may be the user's own: it and a consumer that it has
// are used as found and never altered, events are read where they carry the
// job, and those that jobs.match does not select are acked untouched.
func TestForeignStreamIsUsedAsFound(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("own_consumer=%t", own), func(t *testing.T) {
			t.Parallel()
			foreignStream(t, own)
		})
	}
}

func foreignStream(t *testing.T, ownConsumer bool) {
	b, s := startBroker(t), startSim(t)
	createOrders(b, ownConsumer)
	streamBefore, consumerBefore := ordersConfig(b, ownConsumer)
	file := filepath.Join(t.TempDir(), "capture.yaml")
	if err := os.WriteFile(file, []byte(foreignConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, "w", workerEnv(b, s), "--config", file)
	orders := plain(t, "shop", 10)
	for _, o := range orders {
		s.authorize(o.trade)
		b.publish("orders.shipped", foreignEvent(o, "order.shipped", true))
	}
	others := plain(t, "other", 3)
	b.publish("orders.shipped", foreignEvent(others[0], "order.returned", true))
	b.publish("orders.shipped", foreignEvent(others[1], "order.shipped", false))
	b.publish("orders.created", foreignEvent(others[2], "order.shipped", true))
	b.waitStreamDone(ordersStream, patience)
	allCaptured(b, s, orders)
	if events := b.events("shop-0000"); len(events) == 0 || events[0].OrderID != "A-shop-0000" {
		t.Errorf("the ledger does not know the shop's order: %v", events)
	}
	w.Stop(patience)
	streamAfter, consumerAfter := ordersConfig(b, ownConsumer)
	if !reflect.DeepEqual(streamBefore, streamAfter) {
		t.Errorf("the stream was altered:\n%+v\n%+v", streamBefore, streamAfter)
	}
	if !reflect.DeepEqual(consumerBefore, consumerAfter) {
		t.Errorf("the consumer was altered:\n%+v\n%+v", consumerBefore, consumerAfter)
	}
	if letters := b.messages(dlqStream); len(letters) > 0 {
		t.Errorf("%d events were dead-lettered", len(letters))
	}
	if b.hasStream(jobsStream) {
		t.Error("a jobs stream of our own was created beside the user's")
	}
}

// createOrders makes the stream, and the consumer, as no worker would.
func createOrders(b *broker, withConsumer bool) {
	b.t.Helper()
	stream, err := b.js.CreateStream(b.t.Context(), jetstream.StreamConfig{
		Name: ordersStream, Subjects: []string{"orders.>"}, Description: "the shop's orders",
		MaxAge: 90 * 24 * time.Hour, Duplicates: time.Minute, MaxMsgSize: 1 << 16, DenyDelete: true,
		Metadata: map[string]string{"team": "shop"},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if !withConsumer {
		return
	}
	_, err = stream.CreateConsumer(b.t.Context(), jetstream.ConsumerConfig{
		Durable: consumerName, FilterSubject: "orders.shipped", Description: "made by the shop's platform team",
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: 42 * time.Second, MaxDeliver: -1, MaxAckPending: 20_000,
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// ordersConfig reads the configurations as the broker has them.
func ordersConfig(b *broker, withConsumer bool) (jetstream.StreamConfig, jetstream.ConsumerConfig) {
	b.t.Helper()
	stream, err := b.js.Stream(b.t.Context(), ordersStream)
	if err != nil {
		b.t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	if !withConsumer {
		return config, jetstream.ConsumerConfig{}
	}
	info, err := b.consumer(ordersStream)
	if err != nil {
		b.t.Fatal(err)
	}
	return config, info.Config
}

func foreignEvent(o order, kind string, live bool) []byte {
	return fmt.Appendf(nil, `{"kind":%q,"orderNumber":%q,"payment":{"live":%t,"tradeId":%q,"total":{"value":%q,"currency":"EUR"}},"lines":[{"sku":"x"}]}`,
		kind, "A-"+o.trade.TradeID, live, o.trade.TradeID, o.trade.Amount.Number())
}
