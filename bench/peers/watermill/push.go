package main

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// backlog is how many messages for each subscriber may be on their way or in
// work. The server deals them out by chance, not to who is free: with fewer,
// subscribers sit idle; with more, messages wait longer behind slow calls.
const backlog = 8

// subscribePush subscribes with pkg/nats. It knows push consumers only, so it
// takes one of its own, beside the configured durable and like it,
// and a queue group of as many subscribers as there are to be jobs in work.
func subscribePush(ctx context.Context, p *program) (subscription, error) {
	js, err := jetstream.New(p.conn)
	if err != nil {
		return subscription{}, fmt.Errorf("reaching JetStream: %w", err)
	}
	like, err := js.Consumer(ctx, p.Stream, p.Consumer)
	if err != nil {
		return subscription{}, fmt.Errorf("looking at consumer %s of stream %s: %w", p.Consumer, p.Stream, err)
	}
	wanted, err := p.pushConsumer(like.CachedInfo().Config)
	if err != nil {
		return subscription{}, err
	}
	if _, err = js.CreatePushConsumer(ctx, p.Stream, wanted); err != nil {
		return subscription{}, fmt.Errorf("adding push consumer %s: %w", p.pushName(), err)
	}
	s, err := wmnats.NewSubscriberWithNatsConn(p.conn, wmnats.SubscriberSubscriptionConfig{
		QueueGroupPrefix: p.pushName(),
		SubscribersCount: p.Concurrency,
		AckWaitTimeout:   ackWait,
		JetStream: wmnats.JetStreamConfig{
			AckAsync: true, DurablePrefix: p.pushName(),
			// Without ManualAck the client acks what Watermill gives up: a job
			// in the backlog of a subscriber that closes would be lost.
			SubscribeOptions: []nats.SubOpt{nats.BindStream(p.Stream), nats.ManualAck()},
		},
	}, watermill.NopLogger{})
	return subscription{Subscriber: s, topic: wanted.FilterSubject, handlers: 1, running: func() error {
		wanted.MaxAckPending = backlog * p.Concurrency
		if _, err := js.UpdatePushConsumer(ctx, p.Stream, wanted); err != nil {
			return fmt.Errorf("opening push consumer %s: %w", p.pushName(), err)
		}
		return nil
	}}, err
}

func (p *program) pushName() string { return p.Consumer + "-watermill" }

// pushConsumer is a push consumer like the one that was found, that gives out
// one message at first: else the first subscriber gets all that may be under
// way, and the others little until it has worked that off.
func (p *program) pushConsumer(found jetstream.ConsumerConfig) (jetstream.ConsumerConfig, error) {
	subjects := found.FilterSubjects
	if found.FilterSubject != "" {
		subjects = []string{found.FilterSubject}
	}
	if len(subjects) != 1 {
		return jetstream.ConsumerConfig{}, fmt.Errorf("consumer %s filters %d subjects: pkg/nats subscribes to one", p.Consumer, len(subjects))
	}
	return jetstream.ConsumerConfig{
		Durable: p.pushName(), DeliverGroup: p.pushName(), DeliverSubject: nats.NewInbox(),
		FilterSubject: subjects[0], AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1,
		MaxAckPending: 1, SampleFrequency: found.SampleFrequency,
	}, nil
}
