package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/ratelog"
)

const (
	// pullWait bounds the wait for one job, and so how long a stop waits for it.
	// It is a pull's length too: while no hand is free nobody looks at what came,
	// beats lie beside jobs in a buffer that has no room for many of them, and a
	// job that finds it full is lost to us until its ack wait is over.
	pullWait = 2 * time.Second
	// pullBeat is how often the broker says that it has no jobs; two beats
	// missed are trouble, which shows within pullWait.
	pullBeat = 500 * time.Millisecond
	// pullPause is the rest after a pull that failed.
	pullPause = 500 * time.Millisecond
	// pullQuiet is how long pulls that fail in one way are not logged again.
	pullQuiet = 30 * time.Second
	// abortTime is what is kept of the shutdown timeout for calls and appends
	// to return after they were told to stop.
	abortTime = 2 * time.Second
	// letterRest bounds the rest of a job whose dead letter cannot be stored.
	letterRest = 10 * time.Minute
	// troubleRests bounds the rest of a job that met trouble which is not its own,
	// as a multiple of the first.
	troubleRests = 12
	// troubleQuiet is how long trouble of one kind is not logged again.
	troubleQuiet = 10 * time.Second
	// passedQuiet is how long the passing over of events is not logged again.
	passedQuiet = time.Hour
	// poisonDelay is how long a job rests whose processing broke us.
	poisonDelay = time.Minute
)

// Config configures a Worker.
type Config struct {
	Consumer        jetstream.Consumer
	Processor       *Processor
	Gate            *Gate
	DeadLetters     deadletter.Store
	AckWait         time.Duration // the consumer's
	Hands           int           // jobs worked on at a time; those that wait inside come on top
	Share           float64       // of the gate's rate, while other lanes have jobs too; 0 is all of it
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
	hands  *hands
	keeper *keeper
	jobs   sync.WaitGroup
	next   chan jetstream.Msg // to goroutines that have done a job and are free
	health health
	said   *ratelog.Limiter // of trouble
	passed *ratelog.Limiter // of events that jobs.match passes over
}

// New returns a worker that does nothing until Run.
func New(cfg Config) *Worker {
	return &Worker{
		cfg: cfg, hands: newHands(cfg.Hands, cfg.Gate.cfg.Concurrency),
		keeper: newKeeper(cfg.AckWait), next: make(chan jetstream.Msg), said: ratelog.New(troubleQuiet), passed: ratelog.New(passedQuiet),
	}
}

// HandsFor is how many jobs a worker with that many gateway calls in flight
// works on: enough to keep the slots busy while others are written down.
func HandsFor(concurrency int) int { return max(64, 2*concurrency) }

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
	close(w.next)
	w.drain(abort)
	abort()
	keeping.Wait()
}

// pull takes jobs while the gate is open, and single ones while the intake is
// paused and tries them, until ctx ends.
func (w *Worker) pull(ctx, work context.Context) {
	trouble := ratelog.New(pullQuiet)
	for ctx.Err() == nil {
		permit, err := w.cfg.Gate.await(ctx)
		switch {
		case err != nil:
			return
		case permit != nil:
			err = w.try(ctx, work, permit)
		default:
			err = w.take(ctx, work)
		}
		if err != nil && ctx.Err() == nil {
			if _, worth := trouble.Allow(err.Error()); worth {
				w.cfg.Log.WarnContext(ctx, "pulling jobs failed; trying again", "error", err)
			}
			pause(ctx, pullPause)
		}
	}
}

// take takes jobs as hands become free, until ctx ends, the gate shuts or
// pulling meets trouble.
func (w *Worker) take(ctx, work context.Context) error {
	jobs, err := w.cfg.Consumer.Messages(
		jetstream.PullMaxMessages(prefetch(&w.cfg)), jetstream.PullHeartbeat(pullBeat), jetstream.PullExpiry(pullWait))
	if err != nil {
		return err
	}
	defer w.handOver(work, jobs)
	defer context.AfterFunc(ctx, jobs.Drain)() // who waits for a job waits no longer
	for ctx.Err() == nil && w.cfg.Gate.Shut() == "" && w.hands.take(ctx) {
		m, err := jobs.Next(jetstream.NextMaxWait(pullWait))
		if err == nil {
			w.pass(work, ctx, m)
		} else {
			w.hands.change(-1, -1, 0)
		}
		// Without a job in all that time, the heartbeats said that there is none.
		if err != nil && !errors.Is(err, nats.ErrTimeout) {
			return err
		}
		w.health.pulled()
	}
	return nil
}

// handOver ends taking. The jobs that came and have met no hand are handed
// back, or they would be lost to everyone until AckWait is over.
func (w *Worker) handOver(ctx context.Context, jobs jetstream.MessagesContext) {
	jobs.Drain()
	for {
		m, err := jobs.Next(jetstream.NextMaxWait(pullWait))
		if err != nil {
			return
		}
		w.dispose(ctx, m, Disposition{Do: Later})
	}
}

// pass gives a delivery to a goroutine that has done its job, or to a new one:
// their stacks have grown to what a job needs, and growing one anew each time
// costs as much as signing a request. There are never more of them than
// deliveries in hand.
func (w *Worker) pass(work, stop context.Context, m jetstream.Msg) {
	select {
	case w.next <- m:
	default:
		w.jobs.Go(func() {
			for more := true; more; m, more = <-w.next {
				w.handle(work, stop, m)
			}
		})
	}
}

// handle sees one delivery through.
func (w *Worker) handle(work, stop context.Context, m jetstream.Msg) {
	processor := *w.cfg.Processor
	w.see(work, stop, m, &processor, nil)
}

// see sees one delivery through with a processor of its own. amend, if set, may
// change what becomes of it.
func (w *Worker) see(work, stop context.Context, m jetstream.Msg, processor *Processor, amend func(Disposition) Disposition) {
	held := &holding{Turnstile: processor.Gate, Waiter: processor.Waiter, hands: w.hands, staged: true}
	processor.Gate, processor.Waiter = held, held
	defer held.drop()
	if stop.Err() != nil {
		w.dispose(work, m, Disposition{Do: Later})
		return
	}
	w.keeper.hold(m)
	defer w.keeper.drop(m)
	begin := time.Now()
	work, done := w.trace(work, m)
	d := w.process(work, stop, m, processor)
	if amend != nil {
		d = amend(d)
	}
	d = w.dispose(work, m, d)
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
func (w *Worker) process(work, stop context.Context, m jetstream.Msg, processor *Processor) (d Disposition) {
	defer func() {
		if broke := recover(); broke != nil {
			w.cfg.Log.ErrorContext(work, "a job broke its processing; it will be delivered again",
				"subject", m.Subject(), "panic", fmt.Sprint(broke), "stack", string(debug.Stack()))
			d = Disposition{Do: Later, At: time.Now().Add(poisonDelay)}
		}
	}()
	meta, err := m.Metadata()
	first, fresh := err == nil && meta.NumDelivered == 1, 0
	if err == nil {
		fresh = int(min(meta.NumPending, math.MaxInt32))
	}
	return processor.Process(work, stop, Delivery{Header: m.Headers(), Body: m.Data(), First: first, Fresh: fresh})
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
	w.cfg.Log.Warn("the shutdown timeout is over; handing back what is still in hand", "jobs", w.hands.all())
	abort()
	<-finished
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
