package notify

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/reconcile"
)

const (
	// resolveTimeout limits one try to resolve a trade, including the wait for the
	// limiter.
	resolveTimeout = 2 * time.Minute
	// maxTries is how often a trade is tried while its call is in progress or the
	// gateway must not be called, before it is left to its own schedule.
	maxTries = 12
	// The wait between tries doubles from firstWait to maxWait.
	firstWait = time.Second
	maxWait   = time.Minute
)

// resolver asks about notified trades with a few workers and a limited queue. A trade
// that is added again while it waits is asked about once.
type resolver struct {
	cfg    Config
	stats  *Stats
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	inWork  int
	idle    chan struct{}    // closed when closed is set and inWork is 0
	known   map[string]*task // waiting or in progress
	waiting tasks
	wake    chan struct{} // capacity 1: the queue has changed
	ready   chan *task
	running sync.WaitGroup
}

// task is a trade to resolve.
type task struct {
	trade  string
	due    time.Time
	tries  int
	inWork bool
	again  bool // added again while in progress
}

func newResolver(cfg Config, stats *Stats) *resolver {
	r := &resolver{
		cfg: cfg, stats: stats, known: map[string]*task{},
		wake: make(chan struct{}, 1), ready: make(chan *task), idle: make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.running.Go(r.dispatch)
	for range cfg.Workers {
		r.running.Go(r.work)
	}
	return r
}

// add queues a trade. It does not block.
func (r *resolver) add(trade string) {
	trade = capture.TradeKey(trade)
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.known[trade]; t != nil {
		t.again = t.inWork
		return
	}
	if r.closed || len(r.known) >= r.cfg.Queue {
		r.stats.Dropped.Add(1)
		return
	}
	t := &task{trade: trade, due: r.now()}
	r.known[trade] = t
	r.push(t)
}

// has reports whether a trade is queued or in progress.
func (r *resolver) has(trade string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[trade] != nil
}

func (r *resolver) now() time.Time { return r.cfg.Recorder.Clock() }

// push queues a task. The caller holds mu.
func (r *resolver) push(t *task) {
	heap.Push(&r.waiting, t)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// dispatch gives tasks to the workers when they are due.
func (r *resolver) dispatch() {
	defer close(r.ready)
	for r.ctx.Err() == nil {
		t, wait := r.next()
		if t == nil {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-r.wake:
			case <-r.ctx.Done():
			}
			timer.Stop()
			continue
		}
		select {
		case r.ready <- t:
		case <-r.ctx.Done():
			r.finish(t, r.now())
		}
	}
}

// next returns the task that is due, or how long to wait for one.
func (r *resolver) next() (*task, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, maxWait // close ends the wait
	case len(r.waiting) == 0:
		return nil, maxWait
	}
	if wait := r.waiting[0].due.Sub(r.now()); wait > 0 {
		return nil, wait
	}
	t := heap.Pop(&r.waiting).(*task)
	t.inWork = true
	r.inWork++
	return t, 0
}

func (r *resolver) work() {
	for t := range r.ready {
		r.finish(t, r.try(t))
	}
}

func (r *resolver) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// finish removes a task, or queues it again for the time at.
func (r *resolver) finish(t *task, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.signalIdle()
	t.inWork = false
	r.inWork--
	switch {
	case at.IsZero() && !t.again:
		delete(r.known, t.trade)
		return
	case t.tries >= maxTries || r.closed:
		delete(r.known, t.trade)
		r.stats.Dropped.Add(1)
		return
	case at.IsZero():
		t.due, t.tries = r.now(), 0
	default:
		t.due = at
		r.stats.Deferred.Add(1)
	}
	t.again = false
	r.push(t)
}

// try resolves a trade, or returns the time of the next try.
func (r *resolver) try(t *task) (again time.Time) {
	t.tries++
	if r.isClosed() {
		return r.now()
	}
	ctx, cancel := context.WithTimeout(r.ctx, resolveTimeout)
	defer cancel()
	later := r.now().Add(min(firstWait<<(t.tries-1), maxWait))
	ctx = r.cfg.Tracer.Resolving(ctx, t.trade)
	trade, err := r.cfg.Recorder.Open(ctx, t.trade)
	switch {
	case err != nil:
		return later
	case trade.State.Phase == capture.PhaseCaptured:
		return time.Time{}
	case trade.State.Unanswered && r.now().Before(trade.State.LeaseUntil):
		// The answer to the call is still to come, and mostly settles the trade.
		if end := trade.State.LeaseUntil; end.Before(later) {
			return end
		}
		return later
	case pursued(trade.State):
		if until := r.notBefore(trade.State); !until.IsZero() {
			t.tries = 0
			return until
		}
	}
	release, err := r.cfg.Limiter.Acquire(ctx)
	if err != nil {
		return later
	}
	defer release()
	return r.ask(ctx, t, trade, later)
}

func (r *resolver) ask(ctx context.Context, t *task, trade *reconcile.Trade, later time.Time) time.Time {
	asking := reconcile.Resolver{Recorder: r.cfg.Recorder, Excused: r.cfg.Paused, MayFail: r.cfg.MayFail, Query: func(ctx context.Context, id string) capture.Answer {
		return r.cfg.Limiter.Do(ctx, func(ctx context.Context) capture.Answer { return r.cfg.Query(ctx, id) })
	}}
	result, err := asking.Resolve(ctx, t.trade)
	switch {
	case err != nil && !errors.Is(err, context.Canceled):
		r.cfg.Log.WarnContext(ctx, "resolving notified trade failed, will be retried", "trade_id", t.trade, "error", err)
		return later
	case err != nil:
		return later
	}
	r.stats.Resolved.Add(1)
	if result.Changed() {
		r.stats.Changed.Add(1)
	}
	if pursued(result.After) {
		// The number of tries is not limited here: the trade is parked after an hour.
		t.tries = 0
		if until := r.notBefore(result.After); !until.IsZero() {
			return until
		}
		return later
	}
	// A trade with an outcome is retried here, because no job returns to it; an open
	// trade has its own schedule.
	if unanswered := result.Answer.Kind != capture.AnswerDone && !result.Answer.NoSuchTrade(); unanswered && trade.State.Outcome != nil {
		return later
	}
	return time.Time{}
}

// notBefore returns when capture.Decide wants a pursued trade to be asked about next,
// zero if at once.
func (r *resolver) notBefore(s capture.State) time.Time {
	if step := capture.Decide(&s, &s.Job, r.now(), r.cfg.Recorder.Policy); step.Do == capture.DoWait {
		return step.Until
	}
	return time.Time{}
}

// signalIdle ends the wait of close if nothing is in progress. The caller holds mu.
func (r *resolver) signalIdle() {
	if r.closed && r.inWork == 0 {
		close(r.idle)
	}
}

// close stops the resolver. It waits for tasks in progress until ctx ends.
func (r *resolver) close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		r.stats.Dropped.Add(int64(len(r.waiting)))
		r.signalIdle()
	}
	r.mu.Unlock()
	var err error
	select {
	case <-r.idle:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	r.cancel()
	r.running.Wait()
	return err
}

// tasks is a heap by due time.
type tasks []*task

func (q tasks) Len() int           { return len(q) }
func (q tasks) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q tasks) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

func (q *tasks) Push(x any) { *q = append(*q, x.(*task)) }

func (q *tasks) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return t
}
