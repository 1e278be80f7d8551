package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// pullWait bounds one pull, and so how long a stop waits for it.
	pullWait = 2 * time.Second
	// maxPull bounds how many jobs one pull asks for.
	maxPull = 512
	// pullPause is the rest after a pull that failed.
	pullPause = 500 * time.Millisecond
	// abortTime is what is kept of the shutdown timeout for calls and appends
	// to return after they were told to stop.
	abortTime = 2 * time.Second
	// poisonDelay is how long a job rests whose processing broke us.
	poisonDelay = time.Minute
)

// Config configures a Worker.
type Config struct {
	Consumer        jetstream.Consumer
	Processor       *Processor
	Gate            *Gate
	DeadLetters     DeadLetters
	AckWait         time.Duration // the consumer's
	Hands           int           // jobs in hand at a time, waiting ones included
	ShutdownTimeout time.Duration
	Log             *slog.Logger
	// Observe, where set, is told what became of each delivery and how long
	// it took. It must not block.
	Observe func(Disposition, time.Duration)
	// Trace, where set, returns the context to see a delivery through under,
	// and is told by done what became of it. It must not block.
	Trace func(ctx context.Context, m jetstream.Msg) (traced context.Context, done func(Disposition))
}

// Worker pulls the jobs of one consumer and has them processed. A Crew runs
// one or more of them.
type Worker struct {
	cfg    Config
	hands  chan struct{}
	keeper *keeper
	jobs   sync.WaitGroup
	health health
}

// New returns a worker that does nothing until Run.
func New(cfg Config) *Worker {
	return &Worker{cfg: cfg, hands: make(chan struct{}, cfg.Hands), keeper: newKeeper(cfg.AckWait)}
}

// HandsFor is how many jobs a worker with that many gateway calls in flight
// holds: enough to keep the slots busy while others wait or are written down.
func HandsFor(concurrency int) int { return max(64, 4*concurrency) }

// Run works until ctx ends. Then it pulls no more, hands back the jobs that
// wait, lets the others finish within the shutdown timeout, and hands back
// what is left, which loses nothing. It returns once nothing of it runs any
// more. The gate has to be running.
func (w *Worker) Run(ctx context.Context) {
	work, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	var keeping sync.WaitGroup
	keeping.Go(func() { w.keeper.run(work) })
	w.pull(ctx, work)
	w.health.draining.Store(true)
	w.drain(abort)
	abort()
	keeping.Wait()
}

// pull fetches as many jobs as there are free hands, until ctx ends.
func (w *Worker) pull(ctx, work context.Context) {
	for ctx.Err() == nil {
		if w.cfg.Gate.WaitOpen(ctx) != nil {
			return
		}
		n := w.reserve(ctx)
		if n == 0 {
			return
		}
		taken, err := w.fetch(ctx, work, n)
		w.release(n - taken)
		w.health.pulled(err)
		if err != nil {
			w.cfg.Log.WarnContext(ctx, "pulling jobs failed; trying again", "error", err)
			pause(ctx, pullPause)
		}
	}
}

// fetch takes up to n jobs. It is not cut short by ctx: jobs already on their
// way would be lost to everyone until AckWait is over.
func (w *Worker) fetch(ctx, work context.Context, n int) (taken int, err error) {
	batch, err := w.cfg.Consumer.Fetch(n, jetstream.FetchMaxWait(pullWait))
	if err != nil {
		return 0, err
	}
	// The request is out: jobs come as soon as there are any.
	w.health.pulled(nil)
	for m := range batch.Messages() {
		taken++
		w.jobs.Go(func() {
			defer w.release(1)
			w.handle(work, ctx, m)
		})
	}
	err = batch.Error()
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoMessages) {
		err = nil
	}
	return taken, err
}

// handle sees one delivery through.
func (w *Worker) handle(work, stop context.Context, m jetstream.Msg) {
	if stop.Err() != nil {
		w.dispose(work, m, Disposition{Do: Later})
		return
	}
	w.keeper.hold(m)
	defer w.keeper.drop(m)
	begin := time.Now()
	work, done := w.trace(work, m)
	d := w.process(work, stop, m)
	w.dispose(work, m, d)
	done(d)
	if w.cfg.Observe != nil {
		w.cfg.Observe(d, time.Since(begin))
	}
}

func (w *Worker) trace(ctx context.Context, m jetstream.Msg) (context.Context, func(Disposition)) {
	if w.cfg.Trace == nil {
		return ctx, func(Disposition) {}
	}
	return w.cfg.Trace(ctx, m)
}

// process keeps a job that breaks us from breaking the others: it rests, and
// what broke is logged.
func (w *Worker) process(work, stop context.Context, m jetstream.Msg) (d Disposition) {
	defer func() {
		if broke := recover(); broke != nil {
			w.cfg.Log.ErrorContext(work, "a job broke its processing; it will be delivered again",
				"subject", m.Subject(), "panic", fmt.Sprint(broke), "stack", string(debug.Stack()))
			d = Disposition{Do: Later, At: time.Now().Add(poisonDelay)}
		}
	}()
	meta, err := m.Metadata()
	first := err == nil && meta.NumDelivered == 1
	return w.cfg.Processor.Process(work, stop, Delivery{Header: m.Headers(), Body: m.Data(), First: first})
}

// dispose turns a disposition into what the broker understands. A signal that
// is lost costs a redelivery, which the ledger absorbs.
func (w *Worker) dispose(ctx context.Context, m jetstream.Msg, d Disposition) {
	var err error
	switch d.Do {
	case Ack:
		err = m.Ack()
	case DeadLetter:
		if err = w.cfg.DeadLetters.Put(ctx, m, d); err == nil {
			err = m.TermWithReason(d.Reason)
		} else {
			err = errors.Join(err, m.NakWithDelay(w.cfg.Processor.Rest))
		}
	default:
		if rest := time.Until(d.At); rest > 0 {
			err = m.NakWithDelay(rest)
		} else {
			err = m.Nak()
		}
	}
	if err != nil {
		w.cfg.Log.WarnContext(ctx, "the broker was not told what became of a job; it will be delivered again",
			"subject", m.Subject(), "verb", string(d.Do), "error", err)
	}
}

// drain waits for the jobs in hand, and after the timeout tells them to stop.
func (w *Worker) drain(abort context.CancelFunc) {
	finished := make(chan struct{})
	go func() {
		w.jobs.Wait()
		close(finished)
	}()
	timer := time.NewTimer(max(w.cfg.ShutdownTimeout-abortTime, 0))
	defer timer.Stop()
	select {
	case <-finished:
		return
	case <-timer.C:
	}
	w.cfg.Log.Warn("the shutdown timeout is over; handing back what is still in hand", "jobs", len(w.hands))
	abort()
	<-finished
}

// reserve waits for a free hand and takes all that are free with it. It
// returns 0 when ctx ends first.
func (w *Worker) reserve(ctx context.Context) int {
	select {
	case w.hands <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	for n := 1; n < maxPull; n++ {
		select {
		case w.hands <- struct{}{}:
		default:
			return n
		}
	}
	return maxPull
}

func (w *Worker) release(n int) {
	for range n {
		<-w.hands
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
