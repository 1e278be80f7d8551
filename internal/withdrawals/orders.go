package withdrawals

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/reconcile"
)

const (
	// maxOrders limits the withdrawn orders that are known in memory. The oldest are
	// forgotten first; the consumer still finds their trades in the ledger.
	maxOrders = 200_000
	// followPause is the pause after the stream could not be read.
	followPause = time.Second
	// followHeartbeat is how often the broker reports that there is nothing new; two
	// missed ones restart the reader.
	followHeartbeat = 5 * time.Second
	// followWait bounds the wait for one message.
	followWait = 30 * time.Second
)

// Orders knows which orders are withdrawn, so that a job that names one of them is
// not called for, whenever it comes. Every worker follows the stream by itself: the
// job and the withdrawal may reach different workers.
type Orders struct {
	JS       jetstream.JetStream
	Stream   string
	Subjects []string
	Decoder  *capture.WithdrawalDecoder
	// For is how long a withdrawal of an order counts: as long as a trade that was
	// authorized before it can be captured.
	For time.Duration
	Log *slog.Logger

	mu     sync.RWMutex
	orders map[string]order
	oldest []string // in the order of the stream; some may have been withdrawn again since
	some   atomic.Bool
	next   uint64 // sequence to read
	warned bool

	once   sync.Once
	loaded chan struct{}
}

// order is the last withdrawal of an order.
type order struct {
	request reconcile.WithdrawalRequest
	at      time.Time
}

// Withdrawn returns the withdrawal of an order that counts now.
func (o *Orders) Withdrawn(name string) (reconcile.WithdrawalRequest, bool) {
	if !o.some.Load() { // as nearly always, on the way of every job
		return reconcile.WithdrawalRequest{}, false
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	found, ok := o.orders[name]
	return found.request, ok && time.Since(found.at) < o.For
}

// Loaded is closed once everything is known that was in the stream when Follow began.
func (o *Orders) Loaded() <-chan struct{} {
	o.once.Do(func() { o.loaded = make(chan struct{}) })
	return o.loaded
}

// Follow reads the stream until ctx ends.
func (o *Orders) Follow(ctx context.Context) {
	loaded := sync.OnceFunc(func() { close(o.loaded) })
	o.Loaded()
	for failing := false; ctx.Err() == nil; {
		err := o.read(ctx, loaded)
		if err != nil && ctx.Err() == nil && !failing {
			o.Log.WarnContext(ctx, "following the withdrawals failed, will be retried", "stream", o.Stream, "error", err)
		}
		failing = err != nil
		pause(ctx, followPause)
	}
}

// read follows the stream with one consumer until that fails.
func (o *Orders) read(ctx context.Context, loaded func()) error {
	consumer, err := o.JS.OrderedConsumer(ctx, o.Stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: o.Subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(o.next, 1),
	})
	if err != nil {
		return err
	}
	if consumer.CachedInfo().NumPending == 0 {
		loaded()
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(followHeartbeat), jetstream.PullExpiry(followWait))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("reading the metadata of a withdrawal: %w", err)
		}
		o.add(ctx, m, meta)
		o.next = meta.Sequence.Stream + 1
		if meta.NumPending == 0 {
			loaded()
		}
	}
}

// add takes a message. What is malformed or not selected is no withdrawal; the
// consumer reports it.
func (o *Orders) add(ctx context.Context, m jetstream.Msg, meta *jetstream.MsgMetadata) {
	w, err := o.Decoder.Decode(m.Headers(), m.Data())
	if err != nil || w.TradeID != "" || w.OrderID == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.orders == nil {
		o.orders = map[string]order{}
	}
	o.orders[w.OrderID] = order{request(w, m, meta), meta.Timestamp}
	o.oldest = append(o.oldest, w.OrderID)
	o.forget(ctx)
	o.some.Store(true)
}

// forget removes expired entries, and the oldest ones above the limit.
func (o *Orders) forget(ctx context.Context) {
	for len(o.oldest) > 0 {
		first, known := o.orders[o.oldest[0]]
		over := known && time.Since(first.at) >= o.For
		full := len(o.oldest) > maxOrders
		if known && !over && !full {
			return
		}
		if full && !over && !o.warned {
			o.warned = true
			o.Log.WarnContext(ctx, "too many withdrawn orders, the oldest are only looked up in the ledger", "orders", maxOrders)
		}
		delete(o.orders, o.oldest[0])
		o.oldest = o.oldest[1:]
	}
}

// Origin is where the message of a withdrawal is.
type Origin struct {
	Stream   string
	Subject  string
	Sequence uint64
	Stored   time.Time
}

// Request returns what a message asks for. It names the message, so that the request
// is recognised when the message comes again.
func (o Origin) Request(w capture.Withdrawal) reconcile.WithdrawalRequest {
	return reconcile.WithdrawalRequest{
		// The time is part of the id because a recreated stream counts from 1 again.
		ID:      fmt.Sprintf("withdrawal-%d-%d", o.Sequence, o.Stored.UnixNano()),
		TradeID: w.TradeID, OrderID: w.OrderID,
		By:   cmp.Or(w.By, o.Subject),
		Note: cmp.Or(w.Reason, fmt.Sprintf("message %d of stream %s", o.Sequence, o.Stream)),
	}
}

func request(w capture.Withdrawal, m jetstream.Msg, meta *jetstream.MsgMetadata) reconcile.WithdrawalRequest {
	return Origin{Stream: meta.Stream, Subject: m.Subject(), Sequence: meta.Sequence.Stream, Stored: meta.Timestamp}.Request(w)
}

// Await waits until the orders are loaded.
func (o *Orders) Await(ctx context.Context, bound time.Duration) error {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-o.Loaded():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("stream %s could not be read within %s: %w", o.Stream, bound, ErrNotLoaded)
	}
}

// ErrNotLoaded is wrapped by the error of Await if the time is over.
var ErrNotLoaded = errors.New("it is not known which orders are withdrawn")

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
