package worker

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// walkTimeout bounds the wait for one message.
	walkTimeout = 10 * time.Second
	// forgetTimeout bounds the wait at the end of a walk, which has what it wanted.
	forgetTimeout = 2 * time.Second
)

// walk reads what a stream holds now of what cfg selects, the oldest first and
// in constant memory. An error ends it.
func walk(ctx context.Context, js jetstream.JetStream, stream string, cfg jetstream.OrderedConsumerConfig) iter.Seq2[jetstream.Msg, error] {
	return func(yield func(jetstream.Msg, error) bool) {
		fail := func(err error) { yield(nil, fmt.Errorf("reading stream %s: %w", stream, err)) }
		reader, err := js.OrderedConsumer(ctx, stream, cfg)
		if err != nil {
			fail(err)
			return
		}
		defer forget(ctx, js, stream, reader)
		left := reader.CachedInfo().NumPending
		if left == 0 {
			return
		}
		messages, err := reader.Messages()
		if err != nil {
			fail(err)
			return
		}
		defer messages.Stop()
		for left > 0 {
			m, pending, err := next(ctx, messages)
			if err != nil {
				fail(err)
				return
			}
			if !yield(m, nil) {
				return
			}
			left = pending
		}
	}
}

// forget removes the consumer of a walk. The broker would do so in five minutes,
// and until then count it: who looks again and again would reach the limit of
// the stream.
func forget(ctx context.Context, js jetstream.JetStream, stream string, reader jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetTimeout)
	defer cancel()
	_ = js.DeleteConsumer(ctx, stream, reader.CachedInfo().Name)
}

func next(ctx context.Context, messages jetstream.MessagesContext) (m jetstream.Msg, left uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, walkTimeout)
	defer cancel()
	m, err = messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		return nil, 0, err
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, 0, err
	}
	return m, meta.NumPending, nil
}
