package main

import (
	"context"

	"github.com/ThreeDotsLabs/watermill"
	wmjetstream "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/jetstream"
	"github.com/nats-io/nats.go/jetstream"
)

// prefetch is how many messages a subscription asks for at once. It handles
// one at a time: what it holds beyond that waits behind a slow call. One more
// keeps it busy while the next pull is on its way.
const prefetch = 2

// subscribePull pulls from the durable consumer with pkg/jetstream. One of its
// subscriptions handles one message at a time, so it takes as many as there
// are to be jobs in work.
func subscribePull(_ context.Context, p *program) (subscription, error) {
	named := func(string, string) jetstream.ConsumerConfig { return jetstream.ConsumerConfig{Name: p.Consumer} }
	s, err := wmjetstream.NewSubscriber(wmjetstream.SubscriberConfig{
		Conn:                p.conn,
		Logger:              watermill.NopLogger{},
		AckWaitTimeout:      ackWait,
		AckAsync:            true,
		ResourceInitializer: wmjetstream.ExistingConsumer(named, ""),
		ConsumeOptions:      []jetstream.PullConsumeOpt{jetstream.PullMaxMessages(prefetch)},
	})
	return subscription{Subscriber: s, topic: p.Stream, handlers: p.Concurrency, running: func() error { return nil }}, err
}
