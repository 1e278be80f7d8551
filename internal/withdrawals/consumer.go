// Package withdrawals takes the withdrawals of trades and orders from their stream:
// it appends the guarded events, keeps those of orders of which no trade is known
// yet, and tells the workers which orders are withdrawn.
package withdrawals

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/ratelog"
	"github.com/capture-worker/capture-worker/reconcile"
)

const (
	// maxBatch is how many withdrawals are worked on together: their orders are looked
	// up in one search of the ledger.
	maxBatch = 256
	// atOnce is how many trades are withdrawn at a time.
	atOnce = 16
	// fetchWait bounds the wait for the first message of a batch.
	fetchWait = 5 * time.Second
	// fetchPause is the pause after a fetch that failed.
	fetchPause = 500 * time.Millisecond
	// extensionsPerAckWait leaves room for two lost signals before a redelivery.
	extensionsPerAckWait = 3
	// quiet is how long errors of one kind are not logged again.
	quiet = 30 * time.Second
)

// The results of a message, beside those of reconcile.WithdrawalResults. The values
// are labels of metrics.
const (
	Waiting     = "waiting"      // no trade of the order is known yet
	DeadLetter  = "dead_letter"  // put into the stream of dead letters
	NotSelected = "not_selected" // withdrawals.match does not select it
	Delayed     = "delayed"      // an error that is not its own; it comes again
)

// Counts counts the results of the messages, for each of their trades.
type Counts map[string]*atomic.Int64

// NewCounts returns the counts of all results, at zero.
func NewCounts() Counts {
	counts := Counts{}
	for _, r := range reconcile.WithdrawalResults() {
		counts[string(r)] = new(atomic.Int64)
	}
	for _, r := range []string{Waiting, DeadLetter, NotSelected, Delayed} {
		counts[r] = new(atomic.Int64)
	}
	return counts
}

// Consumer takes withdrawals. Its fields are set before Run.
type Consumer struct {
	Messages    jetstream.Consumer // durable, shared by the workers
	Decoder     *capture.WithdrawalDecoder
	Recorder    *reconcile.Recorder
	Trades      Trades
	DeadLetters interface {
		Put(ctx context.Context, m jetstream.Msg, reason, detail string) (uint64, error)
	}
	// For is how long an order of which no trade is known is kept: as long as a trade
	// that was authorized before can be captured.
	For time.Duration
	// RetryInitial and RetryMax are the delays between two tries of such an order, or
	// after an error.
	RetryInitial, RetryMax time.Duration
	Log                    *slog.Logger
	Counts                 Counts // nil: nothing is counted
	// PassedOver, if set, is called with each message that withdrawals.match does not
	// select, and the condition that it does not meet. It must not block.
	PassedOver func(m jetstream.Msg, unmet *capture.MatchError)

	errors *ratelog.Limiter
}

// Run works until ctx ends. The messages in work are finished first.
func (c *Consumer) Run(ctx context.Context) {
	c.errors = ratelog.New(quiet)
	for ctx.Err() == nil {
		batch, err := c.fetch(ctx)
		if err != nil && ctx.Err() == nil {
			c.warn(ctx, "pulling withdrawals failed, will be retried", err)
			pause(ctx, fetchPause)
		}
		if len(batch) > 0 {
			c.process(context.WithoutCancel(ctx), batch)
		}
	}
}

// fetch waits for a message, and returns it with those that are there too.
func (c *Consumer) fetch(ctx context.Context) ([]jetstream.Msg, error) {
	waiting, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	first, err := collect(c.Messages.Fetch(1, jetstream.FetchContext(waiting)))
	if err != nil || len(first) == 0 {
		return first, err
	}
	more, err := collect(c.Messages.FetchNoWait(maxBatch - 1))
	return append(first, more...), err
}

func collect(batch jetstream.MessageBatch, err error) (found []jetstream.Msg, _ error) {
	if err != nil {
		return nil, err
	}
	for m := range batch.Messages() {
		found = append(found, m)
	}
	if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) {
		return found, err
	}
	return found, nil
}

// withdrawal is a message and what it says.
type withdrawal struct {
	m       jetstream.Msg
	meta    *jetstream.MsgMetadata
	request reconcile.WithdrawalRequest
}

// process works on a batch, and keeps its messages in progress meanwhile.
func (c *Consumer) process(ctx context.Context, batch []jetstream.Msg) {
	defer c.extend(batch)()
	var orders []string
	var found []withdrawal
	for _, m := range batch {
		w, ok := c.decode(ctx, m)
		if !ok {
			continue
		}
		found = append(found, w)
		if w.request.TradeID == "" && !slices.Contains(orders, w.request.OrderID) {
			orders = append(orders, w.request.OrderID)
		}
	}
	trades, err := c.Trades.TradesOf(ctx, orders)
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, w := range found {
		group.Go(func() error {
			switch {
			case w.request.TradeID != "":
				c.withdraw(ctx, w, []string{w.request.TradeID})
			case err != nil:
				c.delay(ctx, w, err)
			case len(trades[w.request.OrderID]) == 0:
				c.wait(ctx, w)
			default:
				c.withdraw(ctx, w, trades[w.request.OrderID])
			}
			return nil
		})
	}
	_ = group.Wait() // no function returns an error
}

// extend keeps the messages in progress until the returned function is called.
func (c *Consumer) extend(batch []jetstream.Msg) (stop func()) {
	every := c.Messages.CachedInfo().Config.AckWait / extensionsPerAckWait
	if every <= 0 {
		return func() {}
	}
	ended := make(chan struct{})
	var extending sync.WaitGroup
	extending.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				for _, m := range batch {
					_ = m.InProgress() // an error if it is acked by now; else it is delivered again
				}
			}
		}
	})
	return func() {
		close(ended)
		extending.Wait()
	}
}

// decode reads a message; one that is no withdrawal is done with.
func (c *Consumer) decode(ctx context.Context, m jetstream.Msg) (withdrawal, bool) {
	meta, err := m.Metadata()
	if err != nil { // not from a consumer
		c.warn(ctx, "withdrawal without metadata", err)
		return withdrawal{}, false
	}
	w, err := c.Decoder.Decode(m.Headers(), m.Data())
	if unmet, ok := errors.AsType[*capture.MatchError](err); ok {
		if c.PassedOver != nil {
			c.PassedOver(m, unmet)
		}
		c.count(NotSelected)
		c.finish(ctx, m, m.Ack())
		return withdrawal{}, false
	}
	if err != nil {
		reason := capture.MalformedNotJSON
		if malformed, ok := errors.AsType[*capture.MalformedError](err); ok {
			reason = malformed.Reason
		}
		c.deadLetter(ctx, withdrawal{m: m, meta: meta}, reason, err.Error())
		return withdrawal{}, false
	}
	return withdrawal{m, meta, request(w, m, meta)}, true
}

// withdraw withdraws the trades, and acks the message once all of that is in the
// ledger.
func (c *Consumer) withdraw(ctx context.Context, w withdrawal, trades []string) {
	results := make([]reconcile.Withdrawal, 0, len(trades))
	for _, trade := range trades {
		r := w.request
		r.TradeID = trade
		done, err := c.Recorder.Withdraw(ctx, r)
		if errors.Is(err, reconcile.ErrOtherOrder) {
			c.deadLetter(ctx, w, deadletter.ReasonConflict, err.Error())
			return
		}
		if err != nil {
			c.delay(ctx, w, err)
			return
		}
		results = append(results, done)
	}
	for _, done := range results {
		c.report(ctx, w, done)
	}
	c.finish(ctx, w.m, w.m.Ack())
}

func (c *Consumer) report(ctx context.Context, w withdrawal, done reconcile.Withdrawal) {
	c.count(string(done.Result))
	level := slog.LevelInfo
	if done.Result != reconcile.WithdrawalInTime {
		level = slog.LevelWarn
	}
	args := []any{"trade_id", done.TradeID, "order_id", w.request.OrderID, "result", string(done.Result), "repeated", done.Repeated, "by", w.request.By}
	if o := done.State.Outcome; o != nil {
		args = append(args, "outcome", string(o.Type), "outcome_time", o.Time.UTC().Format(time.RFC3339), "amount", o.Amount, "currency", o.Currency)
	}
	c.Log.Log(ctx, level, "withdrawal processed", args...)
}

// wait keeps the withdrawal of an order of which no trade is known until no trade
// that was authorized before it can be captured any more.
func (c *Consumer) wait(ctx context.Context, w withdrawal) {
	if until := w.meta.Timestamp.Add(c.For); !time.Now().Before(until) {
		c.deadLetter(ctx, w, deadletter.ReasonUnknownOrder, fmt.Sprintf(
			"no trade of order %s became known until %s; nothing was withdrawn", w.request.OrderID, until.UTC().Format(time.RFC3339)))
		return
	}
	if w.meta.NumDelivered == 1 {
		c.Log.InfoContext(ctx, "withdrawal waits for a trade of its order", "order_id", w.request.OrderID, "sequence", w.meta.Sequence.Stream)
	}
	c.count(Waiting)
	c.finish(ctx, w.m, w.m.NakWithDelay(c.delayOf(w)))
}

// delay has the message delivered again after an error that is not its own.
func (c *Consumer) delay(ctx context.Context, w withdrawal, err error) {
	c.warn(ctx, "withdrawal failed, will be retried", err)
	c.count(Delayed)
	c.finish(ctx, w.m, w.m.NakWithDelay(c.delayOf(w)))
}

// delayOf is twice as long with each delivery.
func (c *Consumer) delayOf(w withdrawal) time.Duration {
	delay := c.RetryInitial
	for range min(w.meta.NumDelivered-1, 16) {
		delay = min(2*delay, max(c.RetryMax, delay))
	}
	return delay
}

func (c *Consumer) deadLetter(ctx context.Context, w withdrawal, reason, detail string) {
	letter, err := c.DeadLetters.Put(ctx, w.m, reason, detail)
	if err != nil {
		c.delay(ctx, w, err)
		return
	}
	c.count(DeadLetter)
	c.Log.WarnContext(ctx, "withdrawal dead-lettered", "reason", reason, "detail", detail,
		"subject", w.m.Subject(), "sequence", w.meta.Sequence.Stream, "letter", letter)
	c.finish(ctx, w.m, w.m.TermWithReason(reason))
}

// finish logs that the broker was not told; the message comes again then, and what
// it did before is in the ledger.
func (c *Consumer) finish(ctx context.Context, m jetstream.Msg, err error) {
	if err != nil {
		c.warn(ctx, "ack failed, withdrawal will be redelivered: "+m.Subject(), err)
	}
}

func (c *Consumer) count(result string) {
	if n := c.Counts[result]; n != nil {
		n.Add(1)
	}
}

func (c *Consumer) warn(ctx context.Context, what string, err error) {
	if suppressed, worth := c.errors.Allow(what); worth {
		c.Log.WarnContext(ctx, what, "error", err, "suppressed", suppressed)
	}
}
