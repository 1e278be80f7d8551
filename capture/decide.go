package capture

import "time"

// Action is what the caller of Decide has to do.
type Action string

// The actions.
const (
	// DoAttempt means: append Step.Event (the intent), make the capture call, Judge
	// its answer, and append the resulting event.
	DoAttempt Action = "attempt"
	// DoQuery means: ask Order Query, Judge its answer, and append the resulting
	// event.
	DoQuery Action = "query"
	// DoWait means: do nothing before Step.Until.
	DoWait Action = "wait"
	// DoSettle means: append Step.Event, an outcome that needs no further call.
	DoSettle Action = "settle"
	// DoAck means: acknowledge the job, it is done.
	DoAck Action = "ack"
	// DoConflict means: dead-letter the job, because it contradicts the outcome;
	// with Step.Reason, or as conflict if that is empty.
	DoConflict Action = "conflict"
)

// Step is what to do next.
type Step struct {
	Do   Action
	Rule string // the name of the row of the table that decided
	// Until is the time of the next look for DoWait. For DoAttempt it is the
	// deadline: until then Decide returns the same step again if the trade has no
	// new event. The zero time means no deadline.
	Until time.Time
	// Event is the event to append for DoAttempt and DoSettle, nil for any other
	// step. The caller fills in id, time and worker; for an intent also the lease
	// and, if RequestID is empty, a newly minted one.
	Event *Event
	// Reason is the reason of the dead letter for DoConflict: "withdrawn", or ""
	// for a conflict.
	Reason string
}

// Policy holds the settings of Decide and Judge. A field that is zero or negative
// has its value in DefaultPolicy: without a settle time and agreeing queries, a
// call whose answer was lost would be made again at once.
type Policy struct {
	Settle      time.Duration // how long a lost request may still take effect; more than the timeout of a call
	Agree       int           // how many queries must agree after the settle time
	Spacing     time.Duration // the time between them
	GiveUpAfter time.Duration // when a trade without a deadline, or after the deadline, is parked

	// Window is how long the gateway keeps an authorization open for its capture.
	Window time.Duration
	// MaxAnswers is the number of answers that settle nothing after which a trade
	// gets no more capture calls. It is parked AnswersFor after the first of them.
	MaxAnswers int
	AnswersFor time.Duration
	MaxIDs     int // request_ids that a trade may use
	// Final is the time after the last call from which agreeing queries fail a
	// trade that is in doubt and whose time is over.
	Final time.Duration

	// AskFirst requires a query before the first capture call of a trade too. It is
	// set for a delivery that is not the first of its job, and while the ledger may
	// have lost events (rule 2).
	AskFirst bool
	// AskSince is the time when a loss of ledger events was noticed, zero if there
	// is none. Queries asked before that time prove nothing about calls that the
	// ledger does not hold.
	AskSince time.Time
}

// DefaultPolicy is the policy if none is set. It suits calls with a timeout of 30
// seconds.
func DefaultPolicy() Policy {
	return Policy{
		Settle: 45 * time.Second, Agree: 2, Spacing: 5 * time.Second, GiveUpAfter: 72 * time.Hour,
		Window: AuthorizationWindow, MaxAnswers: 5, AnswersFor: time.Hour, MaxIDs: 10, Final: time.Hour,
	}
}

// OrDefault returns the policy with the default for each field that is zero or
// negative.
func (p Policy) OrDefault() Policy {
	d := DefaultPolicy()
	p.Settle, p.Agree, p.Spacing = positiveOr(p.Settle, d.Settle), positiveOr(p.Agree, d.Agree), positiveOr(p.Spacing, d.Spacing)
	p.GiveUpAfter, p.Window, p.Final = positiveOr(p.GiveUpAfter, d.GiveUpAfter), positiveOr(p.Window, d.Window), positiveOr(p.Final, d.Final)
	p.MaxAnswers, p.AnswersFor, p.MaxIDs = positiveOr(p.MaxAnswers, d.MaxAnswers), positiveOr(p.AnswersFor, d.AnswersFor), positiveOr(p.MaxIDs, d.MaxIDs)
	return p
}

func positiveOr[T int | time.Duration](v, fallback T) T {
	if v > 0 {
		return v
	}
	return fallback
}

// maxErrors is the number of -1000 answers to one request_id after which a new one
// is minted (rule 4).
const maxErrors = 3

// maxIDRefusals is the number of -4118 answers to request_ids that were never sent
// before after which the trade is parked (rule 4).
const maxIDRefusals = 2

// decideRow is a row of the table of Decide: the first row whose condition holds
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
	{"captured, same ask", "8", "captured; the job requests the captured amount and currency, and names the captured capture_id or none",
		"ack", all(is(PhaseCaptured), situation.asksSame), ack},
	{"captured, other ask", "8", "captured; the job has another request or another capture_id",
		"dead-letter as conflict; the outcome stands", is(PhaseCaptured), conflict},
	{"parked, same ask", "8", "parked; the job has the same request, and the same capture_id or none",
		"ack; an operator releases the trade, or a later outcome corrects it", all(is(PhaseParked), situation.asksSame), ack},
	{"parked, other ask", "8", "parked; the job has another request or another capture_id",
		"dead-letter as conflict; an operator releases the trade first", is(PhaseParked), conflict},
	{"failed, same ask", "8, 11", "failed; the job's request failed before, and no newer notification says paid",
		"ack", all(is(PhaseFailed), situation.asksSame, not(situation.notifiedPaid)), ack},
	{"withdrawn, other ask", "8, 13", "failed and withdrawn; the job has another request",
		"dead-letter as withdrawn; an operator retries the trade first", all(is(PhaseFailed), situation.withdrawn, not(situation.asksSame)), refuseWithdrawn},

	// In the following rows the trade is open: new, calling, answered, or failed
	// with a different request or with a notification that says paid.
	{"call under way", "2", "the last intent has no answer and its lease still runs",
		"wait until the lease ends", situation.leaseRuns, waitForLease},
	{"withdrawn in time", "13", "withdrawn, and no call was ever announced",
		"fail as withdrawn", all(situation.withdrawn, situation.neverCalled), failWithdrawn},
	{"first call", "1, 2", "the trade has no event in the ledger, the job was delivered for the first time, the ledger is not behind the jobs, and the deadline has not passed",
		"append the intent and call, with a new request_id", all(situation.untouched, not(situation.asksFirst), not(situation.windowOver)), attempt},
	{"not due", "3, 10", "the schedule, the settle time or the spacing of queries says later, and no notification came since the last query",
		"wait until then", situation.notDue, waitUntilDue},
	{"gave up", "5, 10", "give_up_after is over since the deadline, or since the first event if no deadline is known; the gateway accepted a query after that, and for the settle time no query had a usable result, or the last call was made after that time",
		"park as unresolved", situation.exhausted, park(ReasonUnresolved)},
	{"window over", "10", "the deadline has passed",
		"query, which decides the outcome", situation.windowOver, query},
	{"ids used up", "4", "queries permit a call, but it would need more request_ids than a trade may use (10)",
		"park as request_ids_spent", all(situation.cleared, situation.idsUsedUp), park(ReasonRequestIDsSpent)},
	{"cleared, new id", "2, 3, 4", "queries permit a call, and the old request_id was refused (-4118), answered -1000 three times, or belongs to a failed request",
		"append the intent and call again, with a new request_id", all(situation.cleared, situation.mints), attempt},
	{"cleared", "2, 3, 4", "queries made after the last call ended say authorized (one after -1000 for the whole authorized sum and after a call that was not sent; else `agree` of them, `spacing` apart, after the settle time), and nothing forbids a call: no paid notification, no withdrawal, no dead order state as the answer to the call, fewer than five answers that settled nothing",
		"append the intent and call again, with the same request_id", situation.cleared, attempt},
	{"ask", "2, 3, 5", "anything else",
		"query", always, query},
}

// Decide returns the next step of a trade for a job. Every state, job and time has
// a step, and the same arguments always have the same step. It changes neither s
// nor job.
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
	job := *v.intent() // a copy: the event may be used after the state
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
