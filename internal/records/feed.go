package records

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

const (
	// requestTimeout limits one request to the server.
	requestTimeout = 5 * time.Second
	// idleWait limits the wait for the next message, and for a whole batch.
	idleWait = 5 * time.Second
	// ackWait is longer than a batch takes; redelivered messages are skipped.
	ackWait = 5 * time.Minute
	// ownerKey is the metadata of the consumer with the id of the process that
	// reads with it.
	ownerKey = "capture-records"
)

// Errors of a feed.
var (
	// ErrFollowed means that another process reads with the consumer.
	ErrFollowed = errors.New("another process fills records with the same consumer (records.consumer)")
	// errGap means that deliveries were lost; they are requested again.
	errGap = errors.New("deliveries are missing")
	// errFilled means that the feed has reached its configured end.
	errFilled = errors.New("all messages are applied")
)

// feed reads one stream in order, each message once, from the sequence that the
// database has. The durable consumer has a fixed name for permissions and `nats
// consumer info`, but the database stores the position, so each session creates the
// consumer again.
type feed struct {
	js       jetstream.JetStream
	stream   string
	consumer string
	owner    string // id of this process
	batch    int    // messages in one
	source   Source
	store    *Store
	w        *Writer
	apply    func(*Writer, context.Context, []Message) error
	progress *progress

	absent bool   // the stream does not exist, so there is nothing to read
	ends   bool   // end when all messages up to until are applied
	until  uint64 // the stream's last sequence at the start
	held   bool   // this process has owned the consumer before
}

// bounded makes one request to the server with a timeout, because a request in
// progress gets no reply if the connection breaks.
func bounded[T any](ctx context.Context, request func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return request(ctx)
}

// session reads until something fails. The error is never nil.
func (f *feed) session(ctx context.Context) error {
	stream, err := bounded(ctx, func(ctx context.Context) (jetstream.Stream, error) { return f.js.Stream(ctx, f.stream) })
	if err != nil {
		return fmt.Errorf("stream %s: %w", f.stream, err)
	}
	from, err := f.from(ctx, stream)
	if err != nil {
		return err
	}
	if f.ends && from.Applied >= f.until {
		return errFilled
	}
	if err := f.claim(ctx, stream); err != nil {
		return err
	}
	consumer, err := bounded(ctx, func(ctx context.Context) (jetstream.Consumer, error) {
		return stream.CreateConsumer(ctx, f.config(from))
	})
	if err != nil {
		return fmt.Errorf("creating consumer %s of stream %s: %w", f.consumer, f.stream, err)
	}
	f.held = true
	pending := consumer.CachedInfo().NumPending
	f.progress.note(from, pending)
	if f.ends && pending == 0 { // the last ones were removed
		return errFilled
	}
	return f.pump(ctx, consumer, from)
}

// from returns the sequence to continue from, after a check that the stream is the
// same.
func (f *feed) from(ctx context.Context, stream jetstream.Stream) (Place, error) {
	have, err := f.store.Place(ctx, f.source)
	if err != nil {
		return Place{}, err
	}
	if have.Stream != "" {
		return have, compare(ctx, stream, have)
	}
	info := stream.CachedInfo()
	have.Stream, have.Created, have.First = info.Config.Name, info.Created, info.State.FirstSeq
	have.Applied = max(info.State.FirstSeq, 1) - 1
	return have, f.w.Begin(ctx, have)
}

// config returns the consumer's configuration. It has no filter, so that the server
// does not search the stream's subjects.
func (f *feed) config(from Place) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: f.consumer, Description: "capture-worker records",
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from.Applied + 1,
		AckPolicy: jetstream.AckAllPolicy, AckWait: ackWait, MaxDeliver: -1, MaxAckPending: 4 * f.batch,
		Metadata: map[string]string{ownerKey: f.owner},
	}
}

// claim removes the consumer of an earlier session, unless another process reads
// with it.
func (f *feed) claim(ctx context.Context, stream jetstream.Stream) error {
	name := fmt.Sprintf("consumer %s of stream %s", f.consumer, f.stream)
	existing, err := bounded(ctx, func(ctx context.Context) (jetstream.Consumer, error) { return stream.Consumer(ctx, f.consumer) })
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if existing.CachedInfo().Config.Metadata[ownerKey] != f.owner {
		if f.held {
			return fmt.Errorf("%w: %s was replaced", ErrFollowed, name)
		}
		if err := unused(ctx, existing); err != nil {
			return fmt.Errorf("%w: %s", err, name)
		}
	}
	_, err = bounded(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, stream.DeleteConsumer(ctx, f.consumer) })
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("removing %s: %w", name, err)
	}
	return nil
}

const (
	looks     = 15 // time after which a consumer counts as in use
	quiet     = 3  // consecutive checks after which it counts as unused
	lookEvery = time.Second
)

// unused waits until no process pulls from the consumer. The pulls of a killed
// process end when the server notices.
func unused(ctx context.Context, c jetstream.Consumer) error {
	tick := time.NewTicker(lookEvery / quiet)
	defer tick.Stop()
	still, before := 0, c.CachedInfo().Delivered.Consumer
	for range looks * quiet {
		info, err := bounded(ctx, c.Info)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if still++; info.NumWaiting > 0 || info.Delivered.Consumer != before {
			still, before = 0, info.Delivered.Consumer
		}
		if still == quiet {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return ErrFollowed
}

// pump fetches the next batch while the current one is applied.
func (f *feed) pump(ctx context.Context, c jetstream.Consumer, from Place) error {
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan []jetstream.Msg, 1)
	group.Go(func() error {
		defer close(batches)
		order := uint64(0) // of deliveries
		for {
			msgs, err := f.next(ctx, c, &order)
			if err != nil {
				return err
			}
			if len(msgs) == 0 {
				continue
			}
			select {
			case batches <- msgs:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	group.Go(func() error {
		for msgs := range batches {
			if err := f.take(ctx, msgs, from); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	return group.Wait()
}

// take applies one batch and acknowledges its last message, which acknowledges all.
func (f *feed) take(ctx context.Context, msgs []jetstream.Msg, from Place) error {
	list, err := messagesOf(msgs)
	if err != nil {
		return err
	}
	if err := f.apply(f.w, ctx, list); err != nil {
		return err
	}
	last := msgs[len(msgs)-1]
	meta, err := last.Metadata()
	if err != nil {
		return err
	}
	if err := last.Ack(); err != nil {
		return fmt.Errorf("acknowledging sequence %d of stream %s: %w", meta.Sequence.Stream, f.stream, err)
	}
	from.Applied, from.Stored = meta.Sequence.Stream, meta.Timestamp
	f.progress.note(from, meta.NumPending)
	if f.ends && (from.Applied >= f.until || meta.NumPending == 0) {
		return errFilled
	}
	return nil
}

// next returns the available messages, at most a batch, or waits for one. A gap in
// the numbers of the deliveries means that one was lost.
func (f *feed) next(ctx context.Context, c jetstream.Consumer, order *uint64) ([]jetstream.Msg, error) {
	msgs, err := f.fetch(ctx, func(context.Context) (jetstream.MessageBatch, error) { return c.FetchNoWait(f.batch) })
	if err == nil && len(msgs) == 0 {
		msgs, err = f.fetch(ctx, func(ctx context.Context) (jetstream.MessageBatch, error) {
			return c.Fetch(1, jetstream.FetchContext(ctx))
		})
	}
	if err != nil {
		return nil, fmt.Errorf("reading stream %s: %w", f.stream, err)
	}
	for _, m := range msgs {
		meta, err := m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("reading stream %s: %w", f.stream, err)
		}
		if *order++; meta.Sequence.Consumer != *order {
			return nil, fmt.Errorf("reading stream %s: expected delivery %d, got %d: %w", f.stream, meta.Sequence.Consumer, *order, errGap)
		}
	}
	return msgs, nil
}

// fetch collects one batch. It is empty if none came in time.
func (f *feed) fetch(ctx context.Context, ask func(context.Context) (jetstream.MessageBatch, error)) ([]jetstream.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, idleWait)
	defer cancel()
	batch, err := ask(wait)
	if err != nil {
		return nil, err
	}
	var msgs []jetstream.Msg
	for {
		select {
		case m, more := <-batch.Messages():
			if more {
				msgs = append(msgs, m)
				continue
			}
			if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return nil, err
			}
			return msgs, ctx.Err()
		case <-wait.Done(): // later messages are missing then, and requested again
			return msgs, ctx.Err()
		}
	}
}
