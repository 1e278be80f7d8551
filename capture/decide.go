package capture

import "time"

// Action is what a step asks the shell to do.
type Action string

// The actions.
const (
	// DoAttempt: append Step.Event (the intent), make the capture call, Judge
	// its answer and append what that yields.
	DoAttempt Action = "attempt"
	// DoQuery: ask Order Query, Judge its answer and append what that yields.
	DoQuery Action = "query"
	// DoWait: nothing before Step.Until.
	DoWait Action = "wait"
	// DoSettle: append Step.Event, an outcome that needs no further call.
	DoSettle Action = "settle"
	// DoAck: the job is done; acknowledge it.
	DoAck Action = "ack"
	// DoConflict: the job contradicts the outcome that stands; dead-letter it as
	// Step.Reason, or as conflict if that is empty.
	DoConflict Action = "conflict"
)

// Step is what to do next.
type Step struct {
	Do   Action
	Rule string // the name of the row that decided
	// Until is, of DoWait, when to look again. Of DoAttempt it is the deadline:
	// as long as it is ahead, and the trade has no new event, Decide returns the same
	// again. The zero time is no deadline.
	Until time.Time
	// Event is the event to append, of DoAttempt and DoSettle. The shell fills
	// in id, time and worker; of an intent also the lease and, where RequestID
	// is empty, a newly minted one. Of any other step it is nil.
	Event *Event
	// Reason is, of DoConflict, why no job can change the outcome: "withdrawn", or
	// "" for any other outcome.
	Reason string
}

// Policy holds what the operator may set of the decision. A field that is zero
// or below has its value of DefaultPolicy: without a settle time and queries
// that agree, a call whose answer was lost would be made again at once.
type Policy struct {
	Settle      time.Duration // how long a lost request may still land; more than a call may take
	Agree       int           // how many queries must agree after that
	Spacing     time.Duration // how far apart they are
	GiveUpAfter time.Duration // when a trade with no deadline, or past it, is parked

	// Window is how long the gateway keeps an authorization open for its capture.
	Window time.Duration
	// MaxAnswers is how many answers that settle nothing end the capture calls
	// of a trade. AnswersFor after the first of them the trade is parked.
	MaxAnswers int
	AnswersFor time.Duration
	MaxIDs     int // request_ids that a trade may use
	// Final is how long after the last call agreeing queries must have been asked
	// before a trade in doubt is failed because its time is over.
	Final time.Duration

	// AskFirst: the first capture call of a trade too is preceded by a query. It
	// is set for a delivery that is not the first of its job, and while the
	// ledger may have lost events (rule 2). Its zero value is the usual case.
	AskFirst bool
	// AskSince: queries asked before it prove nothing about calls that the ledger
	// does not hold. It is set, to the time when that was noticed, while the
	// ledger may have lost events; zero is the usual case.
	AskSince time.Time
}

// DefaultPolicy is the policy if none is set. It suits calls that are
// given up after 30 seconds.
func DefaultPolicy() Policy {
	return Policy{
		Settle: 45 * time.Second, Agree: 2, Spacing: 5 * time.Second, GiveUpAfter: 72 * time.Hour,
		Window: AuthorizationWindow, MaxAnswers: 5, AnswersFor: time.Hour, MaxIDs: 10, Final: time.Hour,
	}
}

// OrDefault is the policy as it is applied, with no field left at zero.
func (p Policy) OrDefault() Policy {
	d := DefaultPolicy()
	if p.Settle <= 0 {
		p.Settle = d.Settle
	}
	if p.Agree <= 0 {
		p.Agree = d.Agree
	}
	if p.Spacing <= 0 {
		p.Spacing = d.Spacing
	}
	if p.GiveUpAfter <= 0 {
		p.GiveUpAfter = d.GiveUpAfter
	}
	if p.Window <= 0 {
		p.Window = d.Window
	}
	if p.MaxAnswers <= 0 {
		p.MaxAnswers = d.MaxAnswers
	}
	if p.AnswersFor <= 0 {
		p.AnswersFor = d.AnswersFor
	}
	if p.MaxIDs <= 0 {
		p.MaxIDs = d.MaxIDs
	}
	if p.Final <= 0 {
		p.Final = d.Final
	}
	return p
}

// maxErrors is how often -1000 may answer one request_id before a new one is
// minted (rule 4).
const maxErrors = 3

// maxIDRefusals is how often -4118 may answer a request_id that was never sent
// before (rule 4).
const maxIDRefusals = 2

// decideRow is a line of the decision table: the first whose condition holds
// decides. The texts are printed in docs/state-machine.md.
type decideRow struct {
	name string
	rule string
	if_  string
	then string
	when func(situation) bool
	do   func(situation) Step
}

var decideTable = []decideRow{
	{"captured, same ask", "8", "captured; the job asks for the amount and currency that was captured, and names the same capture_id or none",
		"ack", all(is(PhaseCaptured), situation.asksSame), ack},
	{"captured, other ask", "8", "captured; the job asks for another amount or currency, or names another capture_id",
		"dead-letter as conflict; the outcome stands", is(PhaseCaptured), conflict},
	{"parked, same ask", "8", "parked; the job asks the same, for the same capture_id or none",
		"ack; an operator releases it, or the truth arrives", all(is(PhaseParked), situation.asksSame), ack},
	{"parked, other ask", "8", "parked; the job asks for something else",
		"dead-letter as conflict; an operator releases the trade first", is(PhaseParked), conflict},
	{"failed, same ask", "8, 11", "failed; the job asks for what failed before, and no newer notification says paid",
		"ack", all(is(PhaseFailed), situation.asksSame, not(situation.notifiedPaid)), ack},
	{"withdrawn, other ask", "8, 13", "failed and withdrawn; the job asks for something else",
		"dead-letter as withdrawn; an operator retries the trade first", all(is(PhaseFailed), situation.withdrawn, not(situation.asksSame)), refuseWithdrawn},

	// From here on the trade is open: new, calling, answered, or failed with a
	// job that asks for something else or with a notification that says paid.
	{"call under way", "2", "the last intent has no answer and its lease still runs",
		"wait until the lease ends", situation.leaseRuns, waitForLease},
	{"withdrawn in time", "13", "withdrawn, and no call was ever announced",
		"fail as withdrawn", all(situation.withdrawn, situation.neverCalled), failWithdrawn},
	{"first call", "1, 2", "the ledger of the trade is empty, the job was delivered for the first time, the ledger is not behind the jobs, and the deadline is ahead",
		"append the intent and call, with a new request_id", all(situation.untouched, not(situation.asksFirst), not(situation.windowOver)), attempt},
	{"not due", "3, 10", "the schedule, the settle time or the spacing of queries says later, and no notification came since the last query",
		"wait until then", situation.notDue, waitUntilDue},
	{"gave up", "5, 10", "give_up_after is over since the deadline, or since the first event if no deadline is known; the gateway took a query after that, and for the settle time none told anything to build on, or it followed a call made that late",
		"park as unresolved", situation.exhausted, park(ReasonUnresolved)},
	{"window over", "10", "the deadline has passed",
		"query: the last word on it", situation.windowOver, query},
	{"ids used up", "4", "queries clear the way, and the next call would need more request_ids than a trade may use (10)",
		"park as request_ids_spent", all(situation.cleared, situation.idsUsedUp), park(ReasonRequestIDsSpent)},
	{"cleared, new id", "2, 3, 4", "queries clear the way, and the old request_id was refused (-4118), answered -1000 three times, or belongs to a failed ask",
		"append the intent and call again, with a new request_id", all(situation.cleared, situation.mints), attempt},
	{"cleared", "2, 3, 4", "queries made after the last call ended say authorized (one after -1000 for the whole authorized sum and after a call that was not sent; else `agree` of them, `spacing` apart, after the settle time), and nothing forbids a call: no paid notification, no withdrawal, no dead answer, fewer than five answers that settled nothing",
		"append the intent and call again, with the same request_id", situation.cleared, attempt},
	{"ask", "2, 3, 5", "anything else",
		"query", always, query},
}

// Decide says what to do next about a trade for a job that names it. It is
// total: every state, job and time has a step, and the same three always have
// the same one. It changes neither s nor job.
func Decide(s *State, job *Job, now time.Time, p Policy) Step {
	v := &facts{s: s, job: job, now: now, p: p.OrDefault()}
	for _, row := range decideTable {
		if row.when(v) {
			step := row.do(v)
			step.Rule = row.name
			if step.Event != nil {
				step.Event.Rule = row.name
			}
			return step
		}
	}
	// The last row always holds.
	panic("capture: no row decides")
}

func ack(situation) Step      { return Step{Do: DoAck} }
func conflict(situation) Step { return Step{Do: DoConflict} }
func query(situation) Step    { return Step{Do: DoQuery} }

func waitForLease(v situation) Step { return Step{Do: DoWait, Until: v.s.LeaseUntil} }
func waitUntilDue(v situation) Step { return Step{Do: DoWait, Until: v.dueAt()} }

func attempt(v situation) Step {
	job := *v.intent() // a copy: the event outlives the state it was made from
	e := &Event{
		Type: Attempted, TradeID: TradeKey(job.TradeID), Job: &job, OrderID: job.OrderID,
		Attempt: v.s.Attempt, Call: v.s.Call + 1, RequestID: v.s.RequestID,
	}
	if v.mints() {
		e.Attempt, e.RequestID = v.s.Attempt+1, ""
	}
	return Step{Do: DoAttempt, Until: v.deadline(), Event: e}
}

func refuseWithdrawn(situation) Step { return Step{Do: DoConflict, Reason: ReasonWithdrawn} }

func failWithdrawn(v situation) Step {
	return Step{Do: DoSettle, Event: v.outcome(Failed, ReasonWithdrawn)}
}

func park(reason string) func(situation) Step {
	return func(v situation) Step { return Step{Do: DoSettle, Event: v.outcome(Parked, reason)} }
}
