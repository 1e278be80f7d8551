package rig

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/jobstream"
)

const (
	publishAhead = 4096 // jobs sent and not yet confirmed
	fillBound    = 2 * time.Minute
	// jobSubject is what batch jobs are published to.
	jobSubject = "capture.jobs.batch"

	// noStore is what the server answers sometimes while it still removes the
	// files of the stream that was there before.
	noStore    jetstream.ErrorCode = 10049
	storeTries                     = 10
	storePause                     = 200 * time.Millisecond
)

// Queue names the jobs stream and its consumer.
type Queue struct {
	Stream, Consumer, Ledger, Cases, DLQ string
}

// DefaultQueue has the names that capture-worker uses by default.
func DefaultQueue() Queue {
	c := config.Defaults()
	return Queue{Stream: c.Jobs.Stream, Consumer: c.Jobs.Consumer, Ledger: c.Ledger.Stream, Cases: c.Ledger.Cases, DLQ: c.Jobs.DLQStream}
}

// Recreate makes an empty jobs stream with its durable consumer, exactly as
// capture-worker would, but that the server reports how long some per cent of
// the jobs took from delivery to ack. What an earlier turn left, the ledger
// too, is deleted: every turn starts equal.
func (b *Broker) Recreate(ctx context.Context, q Queue, sample int) error {
	for _, name := range []string{q.Stream, q.Cases, q.Ledger, q.DLQ} {
		if err := b.JS.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("deleting stream %s: %w", name, err)
		}
	}
	consumers, err := b.make(ctx, q)
	for range storeTries {
		if refused := (*jetstream.APIError)(nil); !errors.As(err, &refused) || refused.ErrorCode != noStore {
			break
		}
		select {
		case <-time.After(storePause):
		case <-ctx.Done():
			return ctx.Err()
		}
		consumers, err = b.make(ctx, q)
	}
	if err != nil {
		return err
	}
	wanted := consumers[0].CachedInfo().Config
	wanted.SampleFrequency = strconv.Itoa(sample) + "%"
	if _, err := b.JS.UpdateConsumer(ctx, q.Stream, wanted); err != nil {
		return fmt.Errorf("sampling the acks of consumer %s: %w", q.Consumer, err)
	}
	return nil
}

func (b *Broker) make(ctx context.Context, q Queue) ([]jetstream.Consumer, error) {
	c := config.Defaults()
	return jobstream.Ensure(ctx, b.JS, jobstream.Config{
		Jobs: q.Stream, Subjects: c.Jobs.Subjects, DLQ: q.DLQ, Replicas: c.NATS.Replicas,
		AckWait: c.NATS.AckWait, MaxAckPending: c.NATS.MaxAckPending,
		Consumers: []jobstream.ConsumerConfig{{Name: q.Consumer, Subjects: c.Jobs.Subjects}},
	})
}

// Fill publishes n jobs and returns when all of them are stored. Their trade
// ids continue from the one before, so that none is used twice in a run.
func (b *Broker) Fill(ctx context.Context, n int, ids *IDs) error {
	ctx, cancel := context.WithTimeout(ctx, fillBound)
	defer cancel()
	for range n {
		if _, err := b.JS.PublishAsync(jobSubject, ids.Next(), jetstream.WithStallWait(fillBound)); err != nil {
			return fmt.Errorf("publishing jobs: %w", err)
		}
	}
	select {
	case <-b.JS.PublishAsyncComplete():
	case <-ctx.Done():
		return fmt.Errorf("publishing jobs: not stored within %s", fillBound)
	}
	stream, err := b.JS.Stream(ctx, DefaultQueue().Stream)
	if err != nil {
		return err
	}
	if stored := stream.CachedInfo().State.Msgs; stored < uint64(n) {
		return fmt.Errorf("publishing jobs: %d of %d are stored", stored, n)
	}
	return nil
}

// Left is how many jobs of the consumer are not acked yet.
func (b *Broker) Left(ctx context.Context, q Queue) (int, error) {
	info, err := b.consumerInfo(ctx, q)
	if err != nil {
		return 0, fmt.Errorf("looking at consumer %s: %w", q.Consumer, err)
	}
	return int(info.NumPending) + info.NumAckPending, nil
}

func (b *Broker) consumerInfo(ctx context.Context, q Queue) (*jetstream.ConsumerInfo, error) {
	pull, err := b.JS.Consumer(ctx, q.Stream, q.Consumer)
	if err == nil {
		return pull.CachedInfo(), nil
	}
	if !errors.Is(err, jetstream.ErrNotPullConsumer) {
		return nil, err
	}
	push, err := b.JS.PushConsumer(ctx, q.Stream, q.Consumer)
	if err != nil {
		return nil, err
	}
	return push.CachedInfo(), nil
}

// IDs mints trade ids.
type IDs struct {
	day  string
	last int
}

// NewIDs begins a run.
func NewIDs(now time.Time) *IDs { return &IDs{day: now.Format("20060102")} }

// Next is the JSON of a job whose trade id was not used before.
func (i *IDs) Next() []byte {
	i.last++
	return fmt.Appendf(nil, `{"trade_id":"T%08d%s","amount":"24.99","currency":"EUR","order_id":"A-%d","description":"order A-%d"}`,
		i.last, i.day, i.last, i.last)
}
