package ledger

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	watchAhead     = 512
	watchHeartbeat = 500 * time.Millisecond
	watchExpiry    = 10 * time.Second
)

// Watch implements Ledger, with an ordered consumer, which the server removes by
// itself.
func (l *JetStream) Watch(ctx context.Context, from uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		next := from
		if next == 0 {
			state, err := l.state(ctx)
			if err != nil {
				if ctx.Err() == nil {
					yield(Entry{}, fmt.Errorf("watching the ledger: %w", err))
				}
				return
			}
			next = state.LastSeq + 1
		}
		w := watch{l: l, next: next, yield: yield}
		for ctx.Err() == nil && w.runConsumer(ctx) {
		}
	}
}

// watch is the state of one Watch.
type watch struct {
	l     *JetStream
	next  uint64
	yield func(Entry, error) bool
	fails int       // consecutive consumers that did not work
	since time.Time // the first of them began
}

// runConsumer reads from one consumer until that fails, and reports whether to
// continue with another.
func (w *watch) runConsumer(ctx context.Context) bool {
	before, began := w.next, time.Now()
	goOn, err := w.consume(ctx)
	if !goOn || ctx.Err() != nil {
		return false
	}
	switch worked := w.next > before || time.Since(began) > w.l.o.Bound; {
	case worked:
		w.fails = 0
	case w.fails == 0:
		w.fails, w.since = 1, began
	default:
		w.fails++
	}
	if w.fails > 0 && time.Since(w.since) > w.l.o.Bound || w.l.js.Conn().IsClosed() {
		w.yield(Entry{}, fmt.Errorf("watching the ledger from sequence %d: %w", w.next, err))
		return false
	}
	return pause(ctx, w.fails)
}

func (w *watch) consume(ctx context.Context) (goOn bool, err error) {
	if err := w.l.usable(); err != nil {
		w.yield(Entry{}, err)
		return false, err
	}
	create, cancel := context.WithTimeout(ctx, w.l.o.Timeout)
	defer cancel()
	consumer, err := w.l.js.OrderedConsumer(create, w.l.o.Stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{allSubjects},
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:    w.next,
	})
	if err != nil {
		return true, err
	}
	msgs, err := consumer.Messages(jetstream.PullMaxMessages(watchAhead),
		jetstream.PullExpiry(watchExpiry), jetstream.PullHeartbeat(watchHeartbeat))
	if err != nil {
		return true, err
	}
	defer msgs.Stop()
	for {
		msg, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return true, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return true, err
		}
		if meta.Sequence.Stream < w.next {
			continue
		}
		w.next = meta.Sequence.Stream + 1
		if !w.yield(decodeEntry(meta.Sequence.Stream, meta.Timestamp, msg.Data())) {
			return false, nil
		}
	}
}
