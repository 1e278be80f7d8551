package gatewaytest

import (
	"slices"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// account is the state of a trade. mu guards all fields except trade, which does not
// change.
type account struct {
	trade Trade

	mu       sync.Mutex
	changes  []change // by time; the last may lie ahead (pending turns paid)
	captures []Effect
	answers  []stored // of calls that were run, one per request_id; few
	steps    map[Target][]Step
	captured int // calls so far, for dice
	queried  int
	calls    []Call
	sent     []*Sent

	callsTotal, sentTotal int
}

type change struct {
	at    time.Time
	state capture.OrderState
}

// stored is the result of a call with a request_id.
type stored struct {
	requestID string
	code      string
	captured  bool
}

// answered returns the result of the call with the request_id, nil if none was run.
func (a *account) answered(requestID string) *stored {
	i := slices.IndexFunc(a.answers, func(s stored) bool { return s.requestID == requestID })
	if i < 0 {
		return nil
	}
	return &a.answers[i]
}

func newAccount(t Trade) *account {
	a := &account{trade: t}
	for _, step := range t.Script {
		a.script(step)
	}
	a.trade.Script = nil
	if t.State == capture.OrderPaid {
		a.captures = []Effect{{At: t.AuthorizedAt, Amount: t.Amount}}
	}
	return a
}

func (a *account) script(step Step) {
	if a.steps == nil {
		a.steps = map[Target][]Step{}
	}
	a.steps[step.target()] = append(a.steps[step.target()], step)
}

// nextStep removes and returns the next step of the script, if there is one, and the
// number of earlier calls of this kind.
func (a *account) nextStep(on Target) (step Step, scripted bool, ordinal int) {
	counter := &a.captured
	if on == OnQuery {
		counter = &a.queried
	}
	ordinal = *counter
	*counter++
	if queue := a.steps[on]; len(queue) > 0 {
		step, a.steps[on] = queue[0], queue[1:]
		return step, true, ordinal
	}
	return Step{}, false, ordinal
}

// stateAt returns the state at then; the authorization expires according to now.
func (a *account) stateAt(then, now time.Time, mode ExpiryMode) capture.OrderState {
	state := a.trade.State
	for _, c := range a.changes {
		if !c.at.After(then) {
			state = c.state
		}
	}
	if state == capture.OrderAuthorized && mode != ShowStillAuthorized && !now.Before(a.trade.ExpiresAt) {
		return capture.OrderExpired
	}
	return state
}

// record counts a call, and records it unless Options.ForgetCalls is set.
func (s *Simulator) record(a *account, call func() Call) {
	a.callsTotal++
	if !s.opts.ForgetCalls {
		a.calls = keepLast(a.calls, call())
	}
}

func (a *account) truth(now time.Time, mode ExpiryMode) Truth {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := Truth{
		Trade: a.trade, Now: a.stateAt(now, now, mode), Captures: slices.Clone(a.captures),
		Calls: slices.Clone(latest(a.calls)), CallsTotal: a.callsTotal, NotificationsTotal: a.sentTotal,
	}
	for _, s := range latest(a.sent) {
		t.Notifications = append(t.Notifications, *s)
	}
	return t
}
