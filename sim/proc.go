package sim

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/reconcile"
	"github.com/capture-worker/capture-worker/worker"
)

// proc is one worker process: production code, and models of the pull loop, the
// limiter and the delay pool. After a crash it starts again.
type proc struct {
	s    *Sim
	no   int
	plan WorkerPlan

	alive       bool
	frozenUntil time.Duration
	stopping    bool
	stopped     context.Context // ends when the process is asked to stop
	halt        context.CancelFunc
	tasks       []*task
	busy        int // jobs in flight
	limiter     *limiter
	delays      *delayPool
	processor   *worker.Processor
	resolver    *reconcile.Resolver
	barred      bool // the gateway refused our key, and no probe has passed since
}

func newProc(s *Sim, no int) *proc { return &proc{s: s, no: no, plan: s.plan.Workers[no]} }

func (p *proc) name() string { return p.plan.Name }

var decoder = func() *capture.Decoder {
	d, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		panic(err)
	}
	return d
}()

// start builds the process from production code, with randomness and I/O replaced.
func (p *proc) start() {
	switch {
	case p.alive:
		return
	case p.s.now < p.s.restoring:
		p.s.at(p.s.restoring, p.start) // the ledger is being restored
		return
	}
	p.s.note("%s starts", p.name())
	p.alive, p.stopping, p.busy, p.barred, p.frozenUntil = true, false, 0, false, 0
	p.stopped, p.halt = context.WithCancel(context.Background())
	p.limiter = newLimiter(p)
	p.delays = &delayPool{p: p, places: p.plan.Room}
	var since time.Time // the start at which it noticed that the ledger lacks events
	if p.s.askFirst {
		since = p.clock()
	}
	log := slog.New(slog.DiscardHandler)
	recorder := &reconcile.Recorder{
		Ledger: p.s.book, Policy: p.s.policy, Worker: p.name(), Now: p.clock, NewID: p.s.nextID, Log: log,
		Schedule: reconcile.Schedule{
			QuickInitial: 500 * time.Millisecond, QuickMax: 10 * time.Second, QuickTotal: inline,
			SlowInitial: 15 * time.Second, SlowMax: 15 * time.Minute, Random: p.chance,
		},
	}
	p.processor = &worker.Processor{
		Jobs: decoder, Recorder: recorder, Gateway: p.s.bank, Limiter: p.limiter, Delayer: p.delays,
		Lease: lease, Inline: inline, Rest: 5 * time.Second, NewRequestID: p.s.mint, Log: log,
		AskSince: func() time.Time { return since }, Intake: &intake{p: p}, Withdrawn: p.orderWithdrawn,
	}
	p.resolver = &reconcile.Resolver{Recorder: recorder, Query: p.s.bank.Query}
	p.s.queue.poke()
}

// chance returns the random numbers of the schedule.
func (p *proc) chance() float64 {
	return p.s.dice(onSchedule, p.s.current.trade).unit(saltWay)
}

// forget removes an activity that has ended.
func (p *proc) forget(t *task) {
	if i := slices.Index(p.tasks, t); i >= 0 {
		p.tasks = slices.Delete(p.tasks, i, i+1)
	}
}

// kill ends the process and all its activities.
func (p *proc) kill() {
	if !p.alive {
		return
	}
	p.alive = false
	tasks := p.tasks
	p.tasks = nil
	for _, t := range tasks {
		t.kill()
	}
	p.halt()
}

// crash kills the process; it restarts after a while.
func (p *proc) crash(away time.Duration) {
	if p.alive {
		p.s.note("%s crashes", p.name())
		p.s.Counts.Crashes++
	}
	p.kill()
	p.s.after(away, p.start)
}

// freeze stops the whole process for a while, without its knowledge.
func (p *proc) freeze(during time.Duration) {
	if p.alive {
		p.frozenUntil = max(p.frozenUntil, p.s.now+during)
		p.s.at(p.frozenUntil, p.s.queue.poke)
	}
}

// stop simulates SIGTERM: no new jobs, waiting ones are requeued, and those still
// in flight after the timeout end with the process.
func (p *proc) stop(away time.Duration) {
	if !p.alive || p.stopping {
		return
	}
	p.s.note("%s is asked to stop", p.name())
	p.stopping = true
	p.halt()
	p.limiter.stop()
	p.delays.stop()
	limiter := p.limiter
	p.s.after(shutdownBound, func() {
		if p.alive && p.limiter == limiter {
			p.kill()
			p.s.after(away, p.start)
		}
	})
}

// hungry reports whether the process would take a job now.
func (p *proc) hungry() bool {
	return p.alive && !p.stopping && p.frozenUntil <= p.s.now && p.busy < p.plan.Hands && !p.limiter.paused()
}

// take processes one delivery of a job like worker.Worker.
func (p *proc) take(m *message, first bool) {
	p.busy++
	var t *task
	t = p.spawn(p.name()+" "+m.name, m.trade, func() {
		d := p.processor.Process(context.Background(), p.stopped, worker.Delivery{Body: m.body, First: first})
		p.dispose(t, m, d)
		p.busy--
		p.s.queue.poke()
	})
	t.again = !first
	p.keep(t, m)
}

// keep extends the ack of a delivery that is still being processed.
func (p *proc) keep(t *task, m *message) {
	p.s.after(ackWait/keepersPerWait, func() {
		if t.done || t.dead {
			return
		}
		if p.frozenUntil <= p.s.now && p.s.meets(onKeep, p.s.dice(onKeep, t.trade)) != KeepLost {
			p.s.queue.inProgress(m)
		}
		p.keep(t, m)
	})
}

// dispose sends the signals of a disposition like worker.Worker.
func (p *proc) dispose(t *task, m *message, d worker.Disposition) {
	p.s.note("%s: %s %s %s (%s)", t.name, d.Do, p.rest(d.At), d.Reason, d.Rule)
	p.s.checkDisposed(m, d)
	switch d.Do {
	case worker.Ack:
		p.signal(t, m, func() { p.s.queue.settle(m) })
	case worker.DeadLetter:
		if p.letter(t, m, d) {
			p.signal(t, m, func() { p.s.queue.settle(m) })
		} else {
			p.signal(t, m, func() { p.s.queue.nak(m, rest) })
		}
	default:
		wait := p.rest(d.At)
		p.signal(t, m, func() { p.s.queue.nak(m, wait) })
	}
}

func (p *proc) rest(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return max(at.Sub(p.clock()), 0)
}

// signal sends a signal to the broker without confirmation.
func (p *proc) signal(t *task, m *message, arrives func()) {
	t.cross(onSignal, func(back func()) {
		d := p.s.dice(onSignal, t.trade)
		travel := d.between(saltWay, netLeast, netMost)
		switch p.s.meets(onSignal, d) {
		case SignalLost:
			p.s.note("%s: the signal is lost", t.name)
			back()
			return
		case SignalSlow:
			travel = d.between(saltLong, time.Second, 90*time.Second)
		}
		p.s.after(travel, arrives)
		back()
	})
}

// letter stores a dead letter and waits for the broker's confirmation.
func (p *proc) letter(t *task, m *message, why worker.Disposition) (stored bool) {
	t.cross(onLetter, func(back func()) {
		d := p.s.dice(onLetter, t.trade)
		fault := p.s.meets(onLetter, d)
		p.s.after(d.between(saltWay, netLeast, netMost), func() {
			if fault != LetterFails {
				m.letters = append(m.letters, why.Reason)
			}
			stored = fault != LetterFails && fault != LetterUncertain
			p.s.after(d.between(saltBack, netLeast, netMost), back)
		})
	})
	return stored
}
