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

// The defaults of a [Batch].
const (
	DefaultBatchConcurrency = 8
	DefaultBatchTries       = 3
	DefaultBatchGiveUp      = 15 * time.Minute
)

// windowPerWorker limits how far a batch runs ahead of its slowest item, per
// worker goroutine. It limits memory and the length of Cursor.Ahead.
const windowPerWorker = 16

// Batch asks Order Query about many trades and compares the answers with the
// ledger and with what was expected. It streams its input: memory does not grow
// with the number of items. Trades may be unknown to the ledger. Only Resolver
// must be set.
//
// A query without a useful answer is repeated with backoff, Tries times in all;
// its item is then KindUnknown. After ten useless answers in a row, a probe about
// another trade decides whether the gateway or the trades are the cause. If it is
// the gateway, all queries pause, Waiting is called, and single probes are made
// until one succeeds. After GiveUp the remaining items are KindUnknown and
// Unasked, and the run ends with [ErrGatewayDown]. If the gateway refuses our
// signature or user, the run ends at once with a [*HaltError].
type Batch struct {
	Resolver *Resolver
	// UpdateKnown appends the outcome that follows from an answer to the ledger,
	// for trades that the ledger knows. A trade without events in the ledger is
	// compared and reported, and never written: there is no job that its outcome
	// could belong to. Evidence without an outcome is not written either, because
	// it would postpone the trade's own schedule. If false, the ledger is only read.
	UpdateKnown bool
	// Select decides from the ledger whether to ask the gateway. Items that it
	// rejects are KindSkipped. nil selects all.
	Select      func(Item, capture.State) bool
	Concurrency int           // items at a time; 0 is DefaultBatchConcurrency
	Rate        float64       // Order Queries per second; 0 is no limit
	Tries       int           // queries per trade; 0 is DefaultBatchTries
	GiveUp      time.Duration // 0 is DefaultBatchGiveUp
	Expiring    time.Duration // see Horizon
	// Waiting, if set, is called each time queries start to pause: since is the
	// first useless answer, until the time at which the run gives up. Calls do not
	// overlap, and block new queries.
	Waiting func(since, until time.Time)
}

// Run yields a verdict for each item, in the order in which they are completed.
// Items that cursor marks as done are left out; cursor may be nil, and is read
// when the run begins. The caller calls [Cursor.Done] after it has stored a
// verdict.
//
// At most one error is yielded, as the last element: that of ctx or of the
// input, [*HaltError], [ErrGatewayDown], [ErrInputChanged] or [ErrNotSet]. Items
// without a verdict by then are not done. Breaking the loop ends the run; all of
// its goroutines have ended when the loop does. The input is read in a separate
// goroutine.
func (b *Batch) Run(ctx context.Context, items iter.Seq2[Item, error], cursor *Cursor) iter.Seq2[Verdict, error] {
	return func(yield func(Verdict, error) bool) {
		if err := b.check(); err != nil {
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

func (b *Batch) check() error {
	if b == nil {
		return notSet("reconcile.Batch")
	}
	return b.Resolver.check("reconcile.Batch.Resolver")
}

// batchRun is the state of one Run.
type batchRun struct {
	Batch
	ctx      context.Context
	cancel   context.CancelCauseFunc
	skip     Cursor // a copy from the start of the run
	limiter  *rate.Limiter
	breaker  *batchBreaker
	window   chan struct{} // one element per item from the oldest unfinished to the newest
	work     chan numbered
	verdicts chan Verdict
	stopped  chan struct{} // closed when verdicts are no longer received
	running  sync.WaitGroup
	readErr  error                  // of the input; read it after verdicts is closed
	answered atomic.Pointer[string] // a trade with a useful answer, for probes
	gaveUp   atomic.Pointer[error]  // ErrGatewayDown

	mu     sync.Mutex
	done   map[int64]bool // yielded, after the oldest
	order  chan int64     // positions in the window, oldest first
	oldest int64          // -1: not yet taken from order
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
	r.breaker = newBatchBreaker(r.Resolver.Recorder.Clock, r.GiveUp, r.Waiting, r.probe)
	r.window = make(chan struct{}, windowPerWorker*r.Concurrency)
	r.order = make(chan int64, cap(r.window))
	r.work, r.verdicts, r.stopped = make(chan numbered), make(chan Verdict), make(chan struct{})
	return r
}

// end cancels the run and waits for its goroutines.
func (r *batchRun) end() {
	close(r.stopped)
	r.cancel(context.Canceled)
	r.running.Wait()
}

// start starts the reader and the workers. verdicts is closed when all have
// ended.
func (r *batchRun) start(items iter.Seq2[Item, error]) {
	var workers sync.WaitGroup
	workers.Go(func() {
		defer close(r.work)
		// Items in progress are finished when reading fails.
		r.readErr = r.read(items)
	})
	for range r.Concurrency {
		workers.Go(r.workItems)
	}
	r.running.Go(func() {
		workers.Wait()
		close(r.verdicts)
	})
}

// read sends the items that are not done yet to the workers.
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
		case !r.send(numbered{item, at}):
			return nil
		}
	}
	if at+1 < r.skip.Next {
		return fmt.Errorf("%w: it ends after %d items, and %d were done", ErrInputChanged, at+1, r.skip.Next)
	}
	return nil
}

// place waits until the window reaches a position. Items that an earlier run did
// ahead take a place too: otherwise the cursor would grow from run to run.
func (r *batchRun) place(at int64) bool {
	select {
	case r.window <- struct{}{}:
		r.order <- at // has the capacity of the window
		return true
	case <-r.ctx.Done():
		return false
	}
}

func (r *batchRun) send(n numbered) bool {
	select {
	case r.work <- n:
		return true
	case <-r.ctx.Done():
		return false
	}
}

// advance moves the window past the items that are done without a gap.
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

// workItems processes items until there are none or the run ends.
func (r *batchRun) workItems() {
	for n := range r.work {
		if r.ctx.Err() != nil {
			continue // the reader may have sent one more item
		}
		v, err := r.examine(n)
		if err != nil {
			r.cancel(err)
			continue
		}
		select {
		case r.verdicts <- v:
		case <-r.stopped:
		}
	}
}
