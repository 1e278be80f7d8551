package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/capture-worker/capture-worker/capture"
)

// What a Batch does where its fields are zero.
const (
	DefaultBatchConcurrency = 8
	DefaultBatchTries       = 3
	DefaultBatchGiveUp      = 15 * time.Minute
)

// windowPerHand is how far a batch runs ahead of its slowest item, for each of
// its hands: it bounds the memory, and the Cursor's Ahead.
const windowPerHand = 16

// Batch looks at many trades. It reads its input as it goes and keeps nothing
// of what is done: a million trades take the memory of a few hundred. It works
// for trades that the ledger knows and for those that it does not.
//
// A query that tells nothing is asked again with backoff, Tries in all, and
// then its item is KindUnknown. When many in a row tell nothing, a probe about
// another trade finds out whether the gateway is in trouble altogether (-1000,
// 429, timeouts) or these trades are. If it is the gateway, all queries pause, and
// a probe at a time tries whether it is back; Waiting is told of it. After GiveUp
// no more is asked: the rest is yielded as KindUnknown and Unasked, and the run
// ends with ErrGatewayDown. When the gateway refuses our signature or user, the
// run ends at once with a HaltError.
type Batch struct {
	Resolver *Resolver // must be set
	// Write appends the outcomes that follow to the ledger. Nothing else is
	// written: evidence without an outcome would put off the trade's own
	// schedule. Without Write the ledger is only read.
	Write bool
	// Select says, from the ledger alone, whether the gateway is to be asked;
	// nil asks about all. The rest is KindSkipped.
	Select      func(Item, capture.State) bool
	Concurrency int           // items in hand; 0 is DefaultBatchConcurrency
	Rate        float64       // Order Queries per second; 0 is no limit
	Tries       int           // queries of one trade; 0 is DefaultBatchTries
	GiveUp      time.Duration // 0 is DefaultBatchGiveUp
	Expiring    time.Duration // see Compare
	// Waiting is told, where it is set, each time that all queries begin to
	// pause: since when no answer was useful, and when the run ends if none is
	// until then, but for a query that is under way. It is called from goroutines
	// of the run's, by one at a time. New queries wait for it: it must return
	// soon.
	Waiting func(since, until time.Time)
}

// Run looks at the items and yields a verdict for each, in the order in which
// they are done. Those that cursor has as done are passed over; cursor may be
// nil, and is read when the run begins. The caller marks what it has kept with
// Cursor.Done.
//
// The run ends with at most one error: that of ctx, of the input, a HaltError,
// ErrGatewayDown, ErrInputChanged or ErrNotSet. Items whose verdict was not yielded by then
// are not done. Breaking off the loop ends the run; it returns when nothing of
// it runs any more. The input is read in a goroutine of the run's.
func (b *Batch) Run(ctx context.Context, items iter.Seq2[Item, error], cursor *Cursor) iter.Seq2[Verdict, error] {
	return func(yield func(Verdict, error) bool) {
		if err := b.Resolver.check(); err != nil {
			yield(Verdict{}, err)
			return
		}
		r := b.begin(ctx, cursor)
		defer r.end()
		r.start(items)
		for v := range r.verdicts {
			r.advance(v.Position)
			if !yield(v, nil) {
				return
			}
		}
		if err := cmp.Or(context.Cause(r.ctx), r.readErr); err != nil {
			yield(Verdict{}, err)
			return
		}
		if err := r.gaveUp.Load(); err != nil {
			yield(Verdict{}, *err)
		}
	}
}

// batchRun is one Run at work.
type batchRun struct {
	Batch
	ctx      context.Context
	cancel   context.CancelCauseFunc
	skip     Cursor // as it was when the run began
	limiter  *rate.Limiter
	brake    *brake
	window   chan struct{} // one for each item between the slowest and the newest
	work     chan numbered
	verdicts chan Verdict
	gone     chan struct{} // closed when nobody takes verdicts any more
	running  sync.WaitGroup
	readErr  error                  // of the input; read it when verdicts is closed
	told     atomic.Pointer[string] // a trade about which a query told something
	gaveUp   atomic.Pointer[error]  // ErrGatewayDown, since no more is asked

	mu     sync.Mutex
	done   map[int64]bool // yielded, behind the oldest
	order  chan int64     // positions in the window, oldest first
	oldest int64          // -1: to be taken from order
}

type numbered struct {
	Item
	at int64
}

func (b *Batch) begin(ctx context.Context, cursor *Cursor) *batchRun {
	r := &batchRun{Batch: *b, skip: cursor.clone(), done: map[int64]bool{}, oldest: -1}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	if r.Concurrency <= 0 {
		r.Concurrency = DefaultBatchConcurrency
	}
	if r.Tries <= 0 {
		r.Tries = DefaultBatchTries
	}
	if r.GiveUp <= 0 {
		r.GiveUp = DefaultBatchGiveUp
	}
	limit := rate.Inf
	if r.Rate > 0 {
		limit = rate.Limit(r.Rate)
	}
	r.limiter = rate.NewLimiter(limit, 1)
	r.brake = newBrake(r.Resolver.Clerk.Clock, r.GiveUp, r.Waiting, r.probe)
	r.window = make(chan struct{}, windowPerHand*r.Concurrency)
	r.order = make(chan int64, cap(r.window))
	r.work, r.verdicts, r.gone = make(chan numbered), make(chan Verdict), make(chan struct{})
	return r
}

// end stops what still runs and waits for it.
func (r *batchRun) end() {
	close(r.gone)
	r.cancel(context.Canceled)
	r.running.Wait()
}

// start sets the reader and the hands to work. verdicts is closed when all
// have ended.
func (r *batchRun) start(items iter.Seq2[Item, error]) {
	var hands sync.WaitGroup
	hands.Go(func() {
		defer close(r.work)
		// What is in hand when the input breaks is finished.
		r.readErr = r.read(items)
	})
	for range r.Concurrency {
		hands.Go(r.hand)
	}
	r.running.Go(func() {
		hands.Wait()
		close(r.verdicts)
	})
}

// read hands out the items that are not done yet.
func (r *batchRun) read(items iter.Seq2[Item, error]) error {
	at := int64(-1)
	for item, err := range items {
		if err != nil {
			return fmt.Errorf("reading the input: %w", err)
		}
		at++
		done, err := r.skip.has(at, item.TradeID)
		switch {
		case err != nil:
			return err
		case r.ctx.Err() != nil:
			return nil
		case done && at < r.skip.Next:
			continue
		case !r.place(at):
			return nil
		case done:
			r.advance(at)
		case !r.handOut(numbered{item, at}):
			return nil
		}
	}
	if at+1 < r.skip.Next {
		return fmt.Errorf("%w: it ends after %d items, and %d were done", ErrInputChanged, at+1, r.skip.Next)
	}
	return nil
}

// place waits until the window reaches a position. What an earlier run has
// done ahead takes a place too, or the cursor would grow from run to run.
func (r *batchRun) place(at int64) bool {
	select {
	case r.window <- struct{}{}:
		r.order <- at // has as many places as the window
		return true
	case <-r.ctx.Done():
		return false
	}
}

func (r *batchRun) handOut(n numbered) bool {
	select {
	case r.work <- n:
		return true
	case <-r.ctx.Done():
		return false
	}
}

// advance moves the window over what is done without a gap.
func (r *batchRun) advance(at int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[at] = true
	for {
		if r.oldest < 0 {
			select {
			case r.oldest = <-r.order:
			default:
				return
			}
		}
		if !r.done[r.oldest] {
			return
		}
		delete(r.done, r.oldest)
		r.oldest = -1
		<-r.window
	}
}

// hand takes items until there are none, or the run ends.
func (r *batchRun) hand() {
	for n := range r.work {
		if r.ctx.Err() != nil {
			continue // the reader may have put one more into the channel
		}
		v, err := r.examine(n)
		if err != nil {
			r.cancel(err)
			continue
		}
		select {
		case r.verdicts <- v:
		case <-r.gone:
		}
	}
}
