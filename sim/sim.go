package sim

import (
	"container/heap"
	"fmt"
	"io"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// The settings of the workers: the defaults of capture-worker.
const (
	ackWait        = time.Minute
	callTimeout    = 30 * time.Second
	lease          = 2*callTimeout + 5*time.Second
	slotWait       = lease - callTimeout
	inline         = 15 * time.Second
	rest           = 5 * time.Second
	probeEvery     = 5 * time.Second
	shutdownBound  = 25 * time.Second
	keepersPerWait = 3
)

var policy = capture.Policy{
	Settle: 45 * time.Second, Agree: 2, Spacing: 5 * time.Second, GiveUpAfter: 72 * time.Hour,
	MaxAnswers: 5, AnswersFor: time.Hour, MaxIDs: 10, Final: time.Hour,
}

// Limits of a history; beyond them it loops or pauses.
const (
	maxEvents     = 400_000
	maxAtOneTime  = 2_000
	settleWithin  = 6 * time.Hour // after the faults have stopped
	maxCallsInRow = 40            // gateway calls for one trade within a minute
	maxCallsOfJob = 10            // more for each job, if a trade has many
)

// Sim is one history in progress.
type Sim struct {
	plan   Plan
	now    time.Duration
	agenda agenda
	order  uint64
	still  int // events since the time last advanced

	current *task // the coroutine that runs
	queue   *queue
	bank    *bank
	book    *book
	procs   []*proc // the workers
	desk    *proc   // the process of the operator's commands; it takes no jobs
	events  int
	minted  int
	ids     int
	asked   map[string]string // request_id to trade

	released  []bool                   // by trade: an operator releases it once
	retried   []bool                   // the same for a failed one
	lost      []bool                   // the trades of which a restored ledger lacks events
	withdrawn map[string]time.Duration // by order: when it was withdrawn
	restoring time.Duration            // the end of a restore of the ledger
	askFirst  bool                     // the ledger lacks events, and the workers have noticed that
	published time.Duration            // when the last job was published
	settledAt time.Duration            // when the last job was settled
	patience  time.Duration            // how long settling may take
	policy    capture.Policy

	history io.Writer // nil: not written
	found   *Violation

	Counts Counts
}

// Run simulates a plan to its end or to the first violation. If history is not nil,
// Run writes a line for every event.
func Run(p Plan, history io.Writer) Result {
	s := &Sim{plan: p, history: history, asked: map[string]string{}, withdrawn: map[string]time.Duration{}, released: make([]bool, len(p.Trades))}
	s.retried, s.lost = make([]bool, len(p.Trades)), make([]bool, len(p.Trades))
	s.bank, s.book, s.queue = newBank(s), newBook(s), &queue{s: s}
	for i := range p.Workers {
		s.procs = append(s.procs, newProc(s, i))
	}
	s.patience, s.policy = p.patience(), p.policy()
	s.desk = &proc{s: s, plan: WorkerPlan{Name: "desk"}}
	s.stage()
	s.play()
	s.finish()
	for _, w := range append(s.procs, s.desk) {
		w.kill()
	}
	s.Counts.Histories = 1
	return Result{Plan: p, Violation: s.found, Counts: s.Counts, Took: s.now}
}

// Result is the result of one history.
type Result struct {
	Plan      Plan
	Violation *Violation
	Counts    Counts
	Took      time.Duration // simulated time
}

// stage schedules the events of the plan.
func (s *Sim) stage() {
	for _, w := range append(s.procs, s.desk) {
		s.at(0, w.start)
	}
	for i := range s.plan.Trades {
		t := &s.plan.Trades[i]
		for _, j := range t.Jobs {
			s.at(j.At, func() { s.queue.publish(i, j) })
		}
		for _, at := range t.Looks {
			s.at(at, func() { s.look(i) })
		}
		switch {
		case t.Withdraw == 0:
		case t.ByOrder:
			s.at(t.Withdraw, func() { s.withdrawOrder(i) })
		default:
			s.at(t.Withdraw, func() { s.withdraw(i, 0) })
		}
	}
	for _, a := range s.plan.Accidents {
		if a.Worker < len(s.procs) || a.Kind.shared() {
			s.at(a.At, func() { s.befall(a) })
		}
	}
}

func (s *Sim) befall(a Accident) {
	s.note("accident: %s, worker %d, for %s", a.Kind, a.Worker+1, a.For)
	s.Counts.Accidents[a.Kind.index()]++
	switch a.Kind {
	case outage:
		s.bank.downUntil = max(s.bank.downUntil, s.now+a.For)
	case badKey:
		s.bank.refusesUntil = max(s.bank.refusesUntil, s.now+a.For)
	case foreign:
		s.bank.foreignUntil = max(s.bank.foreignUntil, s.now+a.For)
	case refusal:
		s.bank.codeUntil, s.bank.code = s.now+a.For, a.Code
	case restore:
		s.restore(a)
	case crash:
		s.procs[a.Worker].crash(a.For)
	case freeze:
		s.procs[a.Worker].freeze(a.For)
	case stopGently:
		s.procs[a.Worker].stop(a.For)
	}
}

// play processes the events in order until none is left.
func (s *Sim) play() {
	for len(s.agenda) > 0 && s.found == nil {
		e := heap.Pop(&s.agenda).(*event)
		if e.at > s.now {
			s.now, s.still = e.at, 0
		}
		s.events++
		s.still++
		switch {
		case s.still > maxAtOneTime:
			s.breach("busy loop", "%d events without an advance of the time", s.still)
		case s.events > maxEvents:
			s.breach("busy loop", "%d events", s.events)
		default:
			e.do()
		}
		s.checkSettled()
	}
	s.Counts.Events = s.events
}

// at schedules an event; events of the same time happen in the order in which they
// were scheduled.
func (s *Sim) at(when time.Duration, do func()) {
	s.order++
	heap.Push(&s.agenda, &event{at: max(when, s.now), order: s.order, do: do})
}

func (s *Sim) after(d time.Duration, do func()) { s.at(s.now+d, do) }

type event struct {
	at    time.Duration
	order uint64
	do    func()
}

type agenda []*event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(*event)) }
func (a *agenda) Pop() any {
	old := *a
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	return e
}

// note writes a line of the history.
func (s *Sim) note(format string, args ...any) {
	if s.history == nil {
		return
	}
	t := s.now
	days := int64(t / (24 * time.Hour))
	t %= 24 * time.Hour
	fmt.Fprintf(s.history, "%dd %02d:%02d:%06.3f ", days, int(t.Hours()), int(t.Minutes())%60, (t % time.Minute).Seconds())
	fmt.Fprintf(s.history, format+"\n", args...)
}
