// Package worker takes capture jobs from JetStream and takes each to its outcome.
// Read process.go first: it is the way of a job from top to bottom. Package
// capture decides what to do; this package does it, and owns what the decision
// does not: pulling, waiting, the limits on gateway calls, and how a decision
// becomes an ack, a delayed redelivery or a dead letter.
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
	// It is also the length of a pull: while the window is full, no one reads the
	// client's buffer, heartbeats lie in it beside jobs, and a job that finds it
	// full is lost to us until its ack wait is over.
	pullWait = 2 * time.Second
	// pullBeat is how often the broker reports that it has no jobs; two missed
	// heartbeats are an error, which shows within pullWait.
	pullBeat = 500 * time.Millisecond
	// pullPause is the pause after a pull that failed.
	pullPause = 500 * time.Millisecond
	// pullQuiet is how long the same failure of pulls is not logged again.
	pullQuiet = 30 * time.Second
	// abortTime is the part of the shutdown timeout in which canceled calls and
	// appends return.
	abortTime = 2 * time.Second
	// errorQuiet is how long errors of one kind are not logged again.
	errorQuiet = 10 * time.Second
	// panicDelay is the delay of a job whose processing panicked.
	panicDelay = time.Minute
	// tryWait is how long a lane looks for a job to try while the intake is paused,
	// before another lane may.
	tryWait = time.Second
)

// Config configures a Worker.
type Config struct {
	Consumer        jetstream.Consumer
	Processor       *Processor
	Limiter         *GatewayLimiter
	DeadLetters     deadletter.Store
	AckWait         time.Duration // the consumer's
	MaxInFlight     int           // jobs being processed at a time; those that wait inside come on top
	Share           float64       // of the limiter's rate, while other lanes have jobs too; 0 is all of it
	ShutdownTimeout time.Duration
	Log             *slog.Logger
	// Observe, if set, is called with what was done with each delivery and how
	// long it took. It must not block.
	Observe func(Disposition, time.Duration)
	// Trace, if set, returns the context for processing a delivery; done is called
	// with what was done with it. It must not block.
	Trace func(ctx context.Context, m jetstream.Msg) (traced context.Context, done func(Disposition))
}

// Worker pulls the jobs of one consumer and has them processed. A Pool runs one or
// more of them.
type Worker struct {
	cfg      Config
	inFlight *inFlight
	acks     *ackExtender
	jobs     sync.WaitGroup
	next     chan jetstream.Msg // to goroutines that have finished a job
	health   health
	errors   *ratelog.Limiter
}

// New returns a worker that does nothing until Run.
func New(cfg Config) *Worker {
	return &Worker{
		cfg: cfg, inFlight: newInFlight(cfg.MaxInFlight, cfg.Limiter.cfg.Concurrency),
		acks: newAckExtender(cfg.AckWait), next: make(chan jetstream.Msg),
		errors: ratelog.New(errorQuiet),
	}
}

// MaxInFlightFor returns how many jobs a worker with that many gateway calls in
// flight works on: enough to keep the slots busy while others are written down.
func MaxInFlightFor(concurrency int) int { return max(64, 2*concurrency) }

// Run works until ctx ends. Then it pulls no more, requeues the jobs that wait,
// lets the others finish within the shutdown timeout, and requeues what is left,
// which loses nothing. It returns once nothing of it runs any more. The limiter
// has to be running.
func (w *Worker) Run(ctx context.Context) {
	work, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	var extending sync.WaitGroup
	extending.Go(func() { w.acks.run(work) })
	w.pull(ctx, work)
	w.health.draining.Store(true)
	close(w.next)
	w.drain(abort)
	abort()
	extending.Wait()
}

// pull takes jobs while calls may be made, and single ones to try while the intake
// is paused, until ctx ends.
func (w *Worker) pull(ctx, work context.Context) {
	failures := ratelog.New(pullQuiet)
	for ctx.Err() == nil {
		permit, err := w.cfg.Limiter.await(ctx)
		switch {
		case err != nil:
			return
		case permit != nil:
			err = w.pullOne(ctx, work, permit)
		default:
			err = w.pullLoop(ctx, work)
		}
		if err != nil && ctx.Err() == nil {
			if _, worth := failures.Allow(err.Error()); worth {
				w.cfg.Log.WarnContext(ctx, "pull failed, will be retried", "error", err)
			}
			pause(ctx, pullPause)
		}
	}
}

// pullLoop takes jobs as the limits allow, until ctx ends, calls are paused or
// pulling fails.
func (w *Worker) pullLoop(ctx, work context.Context) error {
	jobs, err := w.cfg.Consumer.Messages(
		jetstream.PullMaxMessages(prefetch(&w.cfg)), jetstream.PullHeartbeat(pullBeat), jetstream.PullExpiry(pullWait))
	if err != nil {
		return err
	}
	defer w.nakPrefetched(work, jobs)
	defer context.AfterFunc(ctx, jobs.Drain)() // ends the wait for a job
	for ctx.Err() == nil && w.cfg.Limiter.PausedFor() == "" && w.inFlight.reserve(ctx) {
		m, err := jobs.Next(jetstream.NextMaxWait(pullWait))
		if err == nil {
			w.dispatch(work, ctx, m)
		} else {
			w.inFlight.add(-1, -1, 0)
		}
		// After a timeout the heartbeats have shown that there is no job.
		if err != nil && !errors.Is(err, nats.ErrTimeout) {
			return err
		}
		w.health.pulled()
	}
	return nil
}

// pullOne takes one job while the intake is paused, and finds out whether its call
// succeeds. The job does not wait inside: the next one is due.
func (w *Worker) pullOne(ctx, work context.Context, p *permit) error {
	defer p.end()
	batch, err := w.cfg.Consumer.Fetch(1, jetstream.FetchMaxWait(tryWait))
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		w.inFlight.add(1, 1, 0)
		processor := *w.cfg.Processor
		processor.Inline, processor.Delayer = 0, noDelay{}
		processor.Intake = p.guard
		if lane, ok := processor.Limiter.(interface{ probing() Limiter }); ok {
			processor.Limiter = lane.probing()
		}
		w.handle(work, ctx, m, processor, p.guard.delay)
	}
	w.health.pulled()
	return batch.Error()
}

// nakPrefetched ends pulling. The jobs that came and were not dispatched are
// requeued; otherwise no worker would have them until AckWait is over.
func (w *Worker) nakPrefetched(ctx context.Context, jobs jetstream.MessagesContext) {
	jobs.Drain()
	for {
		m, err := jobs.Next(jetstream.NextMaxWait(pullWait))
		if err != nil {
			return
		}
		w.finish(ctx, m, Disposition{Do: Retry})
	}
}

// dispatch gives a delivery to a goroutine that has finished its job, or to a new
// one: their stacks have grown to what a job needs, and growing one again each
// time costs as much as signing a request. There are never more of them than
// deliveries in flight.
func (w *Worker) dispatch(work, stop context.Context, m jetstream.Msg) {
	select {
	case w.next <- m:
	default:
		w.jobs.Go(func() {
			for more := true; more; m, more = <-w.next {
				w.handle(work, stop, m, *w.cfg.Processor, nil)
			}
		})
	}
}

// handle processes one delivery. amend, if set, may change what is done with it.
func (w *Worker) handle(work, stop context.Context, m jetstream.Msg, processor Processor, amend func(Disposition) Disposition) {
	counted := &delivery{Limiter: processor.Limiter, Delayer: processor.Delayer, inFlight: w.inFlight, queued: true}
	processor.Limiter, processor.Delayer = counted, counted
	defer counted.done()
	if stop.Err() != nil {
		w.finish(work, m, Disposition{Do: Retry})
		return
	}
	w.acks.add(m)
	defer w.acks.remove(m)
	begin := time.Now()
	work, done := w.trace(work, m)
	d := w.process(work, stop, m, &processor)
	if amend != nil {
		d = amend(d)
	}
	if meta, err := m.Metadata(); d.PassedOver != nil && err == nil {
		d.PassedOver.Stream, d.PassedOver.Sequence, d.PassedOver.Published = meta.Stream, meta.Sequence.Stream, meta.Timestamp
	}
	d = w.finish(work, m, d)
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

// process keeps a job that panics from ending the others: it is delayed, and the
// panic is logged.
func (w *Worker) process(work, stop context.Context, m jetstream.Msg, processor *Processor) (d Disposition) {
	defer func() {
		if broke := recover(); broke != nil {
			w.cfg.Log.ErrorContext(work, "panic while processing job, will be redelivered",
				"subject", m.Subject(), "panic", fmt.Sprint(broke), "stack", string(debug.Stack()))
			d = Disposition{Do: Retry, At: time.Now().Add(panicDelay)}
		}
	}()
	meta, err := m.Metadata()
	job := Delivery{Header: m.Headers(), Body: m.Data()}
	if err == nil {
		job.Stream, job.Sequence = meta.Stream, meta.Sequence.Stream
		job.First, job.Fresh = meta.NumDelivered == 1, int(min(meta.NumPending, math.MaxInt32))
	}
	return processor.Process(work, stop, job)
}

// drain waits for the jobs in flight, and after the timeout cancels them.
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
	w.cfg.Log.Warn("shutdown timeout exceeded, requeueing jobs in flight", "jobs", w.inFlight.all())
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
