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
	// resolveBound bounds one look at a trade, its wait for a turn included.
	resolveBound = 2 * time.Minute
	// maxLooks is how often a trade is come back to, while a call of it is
	// under way or the gateway is shut, before it is left to its own schedule.
	maxLooks = 12
	// The waits between these looks double from lookFirst to lookMost.
	lookFirst = time.Second
	lookMost  = time.Minute
)

// resolver asks about the trades that were notified, each once however often
// it is added, with a few workers and a bounded queue.
type resolver struct {
	cfg    Config
	stats  *Stats
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	inWork  int
	idle    chan struct{}    // closed when closed and nothing is in work
	known   map[string]*task // waiting or in work
	waiting tasks
	wake    chan struct{} // a place: something is to be looked at
	ready   chan *task
	running sync.WaitGroup
}

// task is a trade to resolve.
type task struct {
	trade  string
	due    time.Time
	looks  int
	inWork bool
	again  bool // added once more while in work
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

// add asks for a trade to be resolved. It never waits.
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

// has reports whether a trade waits to be resolved, or is in work.
func (r *resolver) has(trade string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[trade] != nil
}

func (r *resolver) now() time.Time { return r.cfg.Recorder.Clock() }

// push queues a task; mu is held.
func (r *resolver) push(t *task) {
	heap.Push(&r.waiting, t)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// dispatch hands out tasks when they are due.
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

// next takes the task that is due, or says how long to wait.
func (r *resolver) next() (*task, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, lookMost // close cancels it
	case len(r.waiting) == 0:
		return nil, lookMost
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
		r.finish(t, r.look(t))
	}
}

func (r *resolver) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// finish forgets a task, or queues it again at the time that look named.
func (r *resolver) finish(t *task, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.restIfClosed()
	t.inWork = false
	r.inWork--
	switch {
	case at.IsZero() && !t.again:
		delete(r.known, t.trade)
		return
	case t.looks >= maxLooks || r.closed:
		delete(r.known, t.trade)
		r.stats.Dropped.Add(1)
		return
	case at.IsZero():
		t.due, t.looks = r.now(), 0
	default:
		t.due = at
		r.stats.Deferred.Add(1)
	}
	t.again = false
	r.push(t)
}

// look resolves a trade, or returns when to come back to it.
func (r *resolver) look(t *task) (again time.Time) {
	t.looks++
	if r.over() {
		return r.now()
	}
	ctx, cancel := context.WithTimeout(r.ctx, resolveBound)
	defer cancel()
	later := r.now().Add(min(lookFirst<<(t.looks-1), lookMost))
	ctx = r.cfg.Tracer.Resolving(ctx, t.trade)
	trade, err := r.cfg.Recorder.Open(ctx, t.trade)
	switch {
	case err != nil:
		return later
	case trade.State.Phase == capture.PhaseCaptured:
		return time.Time{}
	case trade.State.Unanswered && r.now().Before(trade.State.LeaseUntil):
		// The call's own answer comes, and mostly settles it.
		if end := trade.State.LeaseUntil; end.Before(later) {
			return end
		}
		return later
	case pursued(trade.State):
		if until := r.notBefore(trade.State); !until.IsZero() {
			t.looks = 0
			return until
		}
	}
	leave, err := r.cfg.Limiter.Acquire(ctx)
	if err != nil {
		return later
	}
	defer leave()
	return r.ask(ctx, t, trade, later)
}

func (r *resolver) ask(ctx context.Context, t *task, trade *reconcile.Trade, later time.Time) time.Time {
	asking := reconcile.Resolver{Recorder: r.cfg.Recorder, Excused: r.cfg.Paused, Query: func(ctx context.Context, id string) capture.Answer {
		return r.cfg.Limiter.Do(ctx, func(ctx context.Context) capture.Answer { return r.cfg.Query(ctx, id) })
	}}
	result, err := asking.Resolve(ctx, t.trade)
	switch {
	case err != nil && !errors.Is(err, context.Canceled):
		r.cfg.Log.WarnContext(ctx, "a notified trade could not be resolved now", "trade_id", t.trade, "error", err)
		return later
	case err != nil:
		return later
	}
	r.stats.Resolved.Add(1)
	if result.Changed() {
		r.stats.Changed.Add(1)
	}
	if pursued(result.After) {
		// It has an end of its own: after an hour it is parked.
		t.looks = 0
		if until := r.notBefore(result.After); !until.IsZero() {
			return until
		}
		return later
	}
	// Nobody else comes back to a trade with an outcome; an open one has its
	// own schedule.
	if unheard := result.Answer.Kind != capture.AnswerDone && !result.Answer.NoSuchTrade(); unheard && trade.State.Outcome != nil {
		return later
	}
	return time.Time{}
}

// notBefore is when a pursued trade is asked about next by the table of
// decisions, zero if that is now.
func (r *resolver) notBefore(s capture.State) time.Time {
	if step := capture.Decide(&s, &s.Job, r.now(), r.cfg.Recorder.Policy); step.Do == capture.DoWait {
		return step.Until
	}
	return time.Time{}
}

// restIfClosed tells close that nothing is in work any more; mu is held.
func (r *resolver) restIfClosed() {
	if r.closed && r.inWork == 0 {
		close(r.idle)
	}
}

// close ends it: what is in work may end until ctx does.
func (r *resolver) close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		r.stats.Dropped.Add(int64(len(r.waiting)))
		r.restIfClosed()
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
