// Package worker processes capture jobs from JetStream. Read process.go first: it
// has the processing of a job from top to bottom. Package capture decides each
// step; this package carries it out. It pulls jobs, waits, limits the gateway
// calls, and acks, delays or dead-letters each job.
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
	// pullWait is the longest wait for one job, and so the longest delay of a stop.
	// It is also the duration of a pull: while the window is full, the client's
	// buffer is not read and fills with heartbeats, and a job that does not fit is
	// redelivered only after its ack wait.
	pullWait = 2 * time.Second
	// pullBeat is how often the broker reports that it has no jobs; two missed
	// heartbeats are an error, which shows within pullWait.
	pullBeat = 500 * time.Millisecond
	// drainWait bounds the wait for what a pull without heartbeats had delivered. It
	// is longer than the client library waits for the broker's reply.
	drainWait = 15 * time.Second
	// pullPause is the pause after a pull that failed.
	pullPause = 500 * time.Millisecond
	// pullQuiet is the interval at which the same failure of pulls is logged.
	pullQuiet = 30 * time.Second
	// abortTime is the part of the shutdown timeout for canceled calls and appends
	// to return.
	abortTime = 2 * time.Second
	// errorQuiet is the interval at which errors of one kind are logged.
	errorQuiet = 10 * time.Second
	// panicDelay is the delay of a job whose processing panicked.
	panicDelay = time.Minute
	// tryWait is how long a lane waits for a job to try while the intake is paused,
	// before the next lane does.
	tryWait = time.Second
)

// Config configures a Worker.
type Config struct {
	Consumer        jetstream.Consumer
	Processor       *Processor
	Limiter         *GatewayLimiter
	DeadLetters     deadletter.Store
	AckWait         time.Duration // the consumer's
	MaxInFlight     int           // jobs being processed at a time, without those in the delay pool
	Share           float64       // share of the limiter's rate while other lanes have jobs too; 0 is all of it
	ShutdownTimeout time.Duration
	Log             *slog.Logger
	// Observe, if set, is called with the disposition of each delivery and the
	// duration of its processing. It must not block.
	Observe func(Disposition, time.Duration)
	// Trace, if set, returns the context for processing a delivery; done is called
	// with the disposition. It must not block.
	Trace func(ctx context.Context, m jetstream.Msg) (traced context.Context, done func(Disposition))
}

// Worker pulls and processes the jobs of one consumer. A Pool runs one or more
// workers.
type Worker struct {
	cfg      Config
	inFlight *inFlight
	acks     *ackExtender
	jobs     sync.WaitGroup
	next     chan jetstream.Msg // jobs for goroutines that have finished one
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

// MaxInFlightFor returns the number of jobs in flight for a number of gateway
// slots: enough to use all slots while other jobs wait for appends.
func MaxInFlightFor(concurrency int) int { return max(64, 2*concurrency) }

// Run processes jobs until ctx ends. Then it stops pulling, requeues the waiting
// jobs, lets the others finish within the shutdown timeout, and requeues the rest.
// When it returns, all its goroutines have ended. It needs a running limiter.
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

// pull takes jobs while calls may be made, and single jobs as probes while the
// intake is paused, until ctx ends.
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
			if suppressed, worth := failures.Allow(err.Error()); worth {
				w.cfg.Log.WarnContext(ctx, "pull failed, will be retried", "error", err, "suppressed", suppressed)
			}
			if !errors.Is(err, jetstream.ErrNoHeartbeat) { // which took two heartbeats to notice
				pause(ctx, pullPause)
			}
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
	goOn := false
	defer func() { w.endPull(ctx, work, jobs, goOn) }()
	defer context.AfterFunc(ctx, jobs.Drain)() // to end the wait for a job
	for ctx.Err() == nil && w.cfg.Limiter.PausedFor() == "" && w.inFlight.reserve(ctx) {
		m, err := jobs.Next(jetstream.NextMaxWait(pullWait))
		if err == nil {
			w.dispatch(work, ctx, m)
		} else {
			w.inFlight.add(-1, -1, 0)
		}
		// After a timeout the heartbeats have shown that there is no job.
		if err != nil && !errors.Is(err, nats.ErrTimeout) {
			goOn = errors.Is(err, jetstream.ErrNoHeartbeat)
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

// endPull ends pulling and takes what had come. If pulling continues, those jobs are
// processed: after a missed heartbeat they may lie in a connection that is stalled,
// and a pull that is sent behind it, or a job that is requeued, only adds to its
// load. So it waits until the broker has replied on this connection, at most as
// long as the client library waits. Otherwise the jobs are requeued; else no worker
// would have them until AckWait is over.
func (w *Worker) endPull(ctx, work context.Context, jobs jetstream.MessagesContext, goOn bool) {
	jobs.Drain()
	end := time.Now().Add(drainWait)
	for goOn && ctx.Err() == nil && time.Now().Before(end) {
		m, err := jobs.Next(jetstream.NextContext(ctx))
		switch {
		case err == nil:
			w.dispatchWithin(ctx, work, m)
		case !errors.Is(err, jetstream.ErrNoHeartbeat) && ctx.Err() == nil:
			return
		}
	}
	for {
		m, err := jobs.Next(jetstream.NextMaxWait(pullWait))
		if err != nil {
			return
		}
		w.finish(work, m, Disposition{Do: Retry})
	}
}

// dispatchWithin dispatches a delivery once the limits allow, or requeues it if
// calls are paused or ctx ends.
func (w *Worker) dispatchWithin(ctx, work context.Context, m jetstream.Msg) {
	if w.cfg.Limiter.PausedFor() == "" && w.inFlight.reserve(ctx) {
		w.dispatch(work, ctx, m)
		return
	}
	w.finish(work, m, Disposition{Do: Retry})
}

// dispatch gives a delivery to a goroutine that has finished its job, or to a new
// one. Reuse is cheaper, because a stack has to grow to the size that a job needs,
// which costs as much as signing a request. There are never more goroutines than
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

// handle processes one delivery. amend, if set, may change its disposition.
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

// process processes a job. A panic is logged and delays only this job.
func (w *Worker) process(work, stop context.Context, m jetstream.Msg, processor *Processor) (d Disposition) {
	defer func() {
		if broke := recover(); broke != nil {
			w.cfg.Log.ErrorContext(work, "panic while processing job, will be redelivered",
				"subject", m.Subject(), "panic", fmt.Sprint(broke), "stack", string(debug.Stack()))
			d = Disposition{Do: Retry, At: time.Now().Add(panicDelay)}
		}
	}()
	var job Delivery
	job.read(m)
	return processor.Process(work, stop, job)
}

// read takes what a message and its metadata say.
func (d *Delivery) read(m jetstream.Msg) {
	d.Header, d.Body = m.Headers(), m.Data()
	if meta, err := m.Metadata(); err == nil {
		d.Stream, d.Sequence = meta.Stream, meta.Sequence.Stream
		d.First, d.Fresh = meta.NumDelivered == 1, int(min(meta.NumPending, math.MaxInt32))
	}
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
