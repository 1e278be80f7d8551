package capture

import (
	"slices"
	"time"
)

// Finding is an answer together with the call that gave it.
type Finding struct {
	Via    Via
	Call   int // the number of the capture call, for ViaCapture
	Answer Answer
	// Asked is the time of the call by the clock of the process that judges it; if
	// it is zero, Answer.Latency counts.
	Asked time.Time
	// Excused means that the intake of jobs is paused for a fault of ours. Then no
	// refusal becomes an outcome, and none counts against its trade (rule 9).
	Excused bool
}

// age returns the time since the call. Answer.Latency ends when the client has read
// the answer; the process may have been stopped, or have read the ledger, after
// that.
func (f *Finding) age(now time.Time) time.Duration {
	if f.Asked.IsZero() {
		return f.Answer.Latency
	}
	return max(f.Answer.Latency, now.Sub(f.Asked))
}

// verdict returns the event that a row writes, without id, time and worker.
type verdict = func(situation, *Finding) *Event

// judgeRow is a row of the table of Judge: the first row whose condition holds
// decides which event is written.
type judgeRow struct {
	name string
	rule string
	if_  string
	then string
	when finds
	say  verdict
}

var judgeCaptureTable = []judgeRow{
	{"already captured", "11", "the trade is captured", "nothing: captured is never replaced", phaseIs(PhaseCaptured), nothing},
	{"paid, answered", "6", "done: paid, and trade, amount and currency are the intent's",
		"captured (correcting a failed or parked outcome)", captureDone, settleCaptured},
	{"late answer", "7", "the answer of an earlier call, or the trade has an outcome by now",
		"nothing: later events were decided without the answer", answerLate, nothing},
	{"unsettled", "2, 3, 5, 9", "any other answer: unknown, not sent, -4118, our fault, a refusal, which Order Query has to explain",
		"answered, with the time of the next try", anyFinding, note(Answered)},
}

var judgeQueryTable = []judgeRow{
	{"already captured", "11", "the trade is captured", "nothing: captured is never replaced", phaseIs(PhaseCaptured), nothing},
	{"no job known", "6", "no job of the trade is known, so the requested sum is unknown", "queried, with the time of the next try", noJob, note(Queried)},
	{"paid", "6, 11", "paid, and the amount agrees: the job's, or the authorized one if an attempt of ours is in the ledger",
		"captured (correcting a failed or parked outcome)", paidAgrees, settleCaptured},
	{"paid, unreadable", "6", "paid, with an amount that cannot be read",
		"parked: amount_unreadable", andNotParked(paidUnreadable), settle(Parked, ReasonAmountUnreadable)},
	{"paid otherwise", "6", "paid, with another amount or currency",
		"parked: amount_mismatch", andNotParked(orderIs(OrderIsPaid)), settle(Parked, ReasonAmountMismatch)},
	{"refunded", "5", "refunded", "parked: refunded", andNotParked(isRefunded), settle(Parked, ReasonRefunded)},
	{"unclear", "5", "an order state that is unknown or whose meaning is unclear", "parked: state_unclear", andNotParked(orderIs(OrderIsUnclear)), settle(Parked, ReasonStateUnclear)},
	{"notified paid", "11", "a notification newer than the last intent says paid, and an hour later Order Query still says something else",
		"parked: notified_paid", andNotParked(notificationUnconfirmed), settle(Parked, ReasonNotifiedPaid)},

	// None of the following rows holds while a newer notification says paid. Except
	// for the first, no row that depends on a refusal holds for an excused answer.
	{"dead", "5, 11", "declined, failed, expired or cancelled",
		"failed, with that word as the reason", mayFail(orderIs(OrderIsDead)), failForState},
	{"withdrawn", "13", "authorized or no such trade, the job is withdrawn, and no call of ours can take effect any more",
		"failed: withdrawn", open(mayFail(withdrawnUnpaid)), settle(Failed, ReasonWithdrawn)},
	{"window over", "10", "authorized or no such trade, the deadline has passed (or the gateway's window, if the last call was refused with -4089), and no call of ours can take effect any more: after a call in doubt, or with a refusal that is not explained, authorized for `reconcile.final` after the last call",
		"failed: window_exceeded", mayFail(windowClosedOn), settle(Failed, ReasonWindowExceeded)},
	{"refusal explained", "5", "the last call was refused, and the query explains it: -4084, the authorized sum is below the one asked and no call is in doubt; -4085, the currency is another",
		"failed, with the refusal as the reason", open(mayFail(refusalExplained)), failForRefusal},
	{"no such trade", "2, 5", "`agree` queries after the settle time say that there is no such trade, and no call is in doubt",
		"failed: trade_incorrect", open(mayFail(noSuchTrade)), settle(Failed, ReasonTradeIncorrect)},
	{"trade unknown", "5", "the same, and a call is in doubt",
		"parked: trade_unknown", open(mayPark(tradeUnknown)), settle(Parked, ReasonTradeUnknown)},
	{"refused for good", "5", "the last call was answered with a dead order state, and `agree` queries after the settle time say authorized",
		"parked: refusal_contradicted", open(mayPark(deadContradicted)), settle(Parked, ReasonRefusalContradicted)},
	{"sum lowered", "3, 5", "a call is in doubt, and `agree` queries after the settle time show less authorized than before it: the call may have captured the difference",
		"parked: sum_lowered", open(mayPark(sumLowered)), settle(Parked, ReasonSumLowered)},
	{"second id refused", "4", "authorized, and two request_ids that were never sent before were refused with -4118",
		"parked: request_id_refused", open(mayPark(secondIDRefused)), settle(Parked, ReasonRequestIDRefused)},
	{"nothing settles it", "5, 10", "five answers settled nothing: unexplained refusals or unknown codes; an hour has passed since the first, or all were -3001",
		"parked: request_refused (-3001), refusal_contradicted or unknown_code", open(mayPark(spent)), parkSpent},
	{"seen", "2, 3", "anything else: authorized, in progress, or a query without a result",
		"queried, with the time of the next try", anyFinding, note(Queried)},
}

// Judge returns the event that follows from an answer about a trade, nil if there
// is nothing to append. The caller fills in id, time and worker, and for answered
// and queried the time of the next try. job is the job of the delivery; it is nil
// for queries of an operator, a notification or a batch. now is when the answer
// arrived. It changes neither s nor job.
func Judge(s *State, job *Job, f Finding, now time.Time, p Policy) *Event {
	v := &facts{s: s, job: job, now: now, p: p.OrDefault()}
	f.Answer.Latency = f.age(now)
	table := judgeQueryTable
	if f.Via == ViaCapture {
		table = judgeCaptureTable
	}
	for _, row := range table {
		if !row.when(v, &f) {
			continue
		}
		e := row.say(v, &f)
		if e == nil {
			return nil
		}
		e.Rule, e.Via, e.Answer = row.name, f.Via, &f.Answer
		e.Excused = f.Excused && !e.Type.Outcome()
		if f.Via == ViaCapture {
			e.Call = f.Call
		}
		return e
	}
	// The last row always holds.
	panic("capture: no row judges")
}

func anyFinding(situation, *Finding) bool { return true }

func phaseIs(p Phase) func(situation, *Finding) bool {
	return func(v situation, _ *Finding) bool { return v.phase() == p }
}

func nothing(situation, *Finding) *Event { return nil }

func note(t EventType) verdict {
	return func(v situation, _ *Finding) *Event { return v.draft(t) }
}

func settle(t EventType, reason string) verdict {
	return func(v situation, _ *Finding) *Event { return v.outcome(t, reason) }
}

// settleCaptured returns a captured outcome with the requested amount and
// capture_id: the intent's, unless an earlier request of the trade was paid.
func settleCaptured(v situation, f *Finding) *Event {
	e := v.outcome(Captured, "")
	seen := f.Answer.Order.Amount
	if f.Via == ViaCapture || v.firstAsk(seen) {
		e.Amount, e.Currency = seen.Number(), seen.Currency()
		e.CaptureID = v.captureIDOf(seen)
	}
	return e
}

// captureIDOf is the capture_id of the ask that took the money: of the intent if a
// call was made for it and it asks for that sum, else of a failed one that does.
func (v situation) captureIDOf(seen Amount) string {
	job := v.intent()
	if !v.newAsk() && job.Amount == seen {
		return job.CaptureID
	}
	for _, failed := range slices.Backward(v.s.FailedRequests) {
		if failed.Job.Amount == seen {
			return failed.Job.CaptureID
		}
	}
	return job.CaptureID
}

func failForRefusal(v situation, _ *Finding) *Event {
	return v.outcome(Failed, v.s.Answer.Refusal())
}

func failForState(v situation, f *Finding) *Event {
	return v.outcome(Failed, string(f.Answer.Order.State))
}

func parkSpent(v situation, f *Finding) *Event {
	switch tally := v.unsettlingWith(f); {
	case tally.Code == CodeFieldMissing:
		return v.outcome(Parked, ReasonRequestRefused)
	case v.refused():
		return v.outcome(Parked, ReasonRefusalContradicted)
	}
	return v.outcome(Parked, ReasonUnknownCode)
}

// Refusal returns the reason of a refused capture call, "" if the answer is not a
// refusal of the request or the trade. It proves nothing by itself: an Order Query
// has to explain it (rule 5).
func (a Answer) Refusal() string {
	if a.Kind != AnswerRefused {
		return ""
	}
	switch a.Code {
	case CodeFieldMissing:
		return ReasonRequestRefused
	case CodeAmountExceeded:
		return ReasonAmountExceeded
	case CodeCurrencyMismatch:
		return ReasonCurrencyMismatch
	case CodeWindowExceeded:
		return ReasonWindowExceeded
	case CodeTradeID:
		return ReasonTradeIncorrect
	case CodeSuccess:
		if a.Order != nil && a.Order.State.Class() == OrderIsDead {
			return string(a.Order.State)
		}
	}
	return ""
}

// captureDone reports whether the answer to a capture call proves the capture. The
// client has compared the answer with its request. An answer to an earlier call may
// be about an earlier request; an answer to the last call must agree with the
// intent too.
func captureDone(v situation, f *Finding) bool {
	if f.Answer.Kind != AnswerDone || !orderIs(OrderIsPaid)(v, f) || f.Answer.Order.Amount.IsZero() {
		return false
	}
	return f.Call < v.s.Call || v.s.NewAsk || f.Answer.Order.Amount == v.s.Job.Amount
}

func answerLate(v situation, f *Finding) bool {
	return f.Call != v.s.Call || v.s.Outcome != nil
}

func orderIs(c OrderClass) func(situation, *Finding) bool {
	return func(_ situation, f *Finding) bool {
		return f.Answer.Kind == AnswerDone && f.Answer.Order != nil && f.Answer.Order.State.Class() == c
	}
}

func isRefunded(_ situation, f *Finding) bool {
	return f.Answer.Kind == AnswerDone && f.Answer.Order != nil && f.Answer.Order.State == OrderRefunded
}

// paidAgrees reports whether the paid amount agrees with the job (rule 6). Whether
// Order Query shows the captured or the authorized amount after a partial capture
// is unverified, so both agree; the authorized amount only if the ledger holds an
// intent.
func paidAgrees(v situation, f *Finding) bool {
	if !orderIs(OrderIsPaid)(v, f) {
		return false
	}
	seen, job := f.Answer.Order.Amount, v.intent()
	switch {
	case seen.IsZero():
		return false
	case seen == job.Amount, v.firstAsk(seen):
		return true
	}
	return v.s.Call > 0 && !v.newAsk() && seen == job.AuthorizedAmount
}

// firstAsk reports whether the paid amount is that of an earlier request of the
// trade: one that failed before a corrected job reopened the trade.
func (v situation) firstAsk(seen Amount) bool {
	return v.reopened() && slices.ContainsFunc(v.s.FailedRequests, func(r FailedRequest) bool { return r.Job.Amount == seen })
}

// finds is a condition on the trade and the finding.
type finds = func(situation, *Finding) bool

// andNotParked restricts a condition to trades that are not parked, so that a query
// with the same result does not park a trade again.
func andNotParked(c finds) finds {
	return func(v situation, f *Finding) bool { return v.phase() != PhaseParked && c(v, f) }
}

// mayFail restricts a condition to trades that may be failed: not while a
// notification says paid, and a failed trade not again, unless the job has another
// request, which needs an outcome of its own.
func mayFail(c finds) finds {
	return func(v situation, f *Finding) bool {
		return !v.notifiedPaid() && (v.phase() != PhaseFailed || v.reopened()) && c(v, f)
	}
}

// mayPark restricts a condition to answers that may park the trade: not while the
// intake is paused, and not while a notification says paid.
func mayPark(c finds) finds {
	return func(v situation, f *Finding) bool { return !v.notifiedPaid() && !f.Excused && c(v, f) }
}

// open restricts a condition to trades whose outcome, if any, does not end the job
// of the delivery.
func open(c finds) finds {
	return func(v situation, f *Finding) bool { return v.open() && c(v, f) }
}

// seenWith returns the run of agreeing queries including this one.
func (v situation) seenWith(f *Finding) Agreement {
	return v.s.Agreeing.with(f.Answer, f.Answer.askedAt(v.now))
}

// standsStill reports whether the query showed neither a payment nor one in
// progress.
func standsStill(f *Finding) bool {
	sight, told := f.Answer.sight()
	return told && sight != ""
}

// lastOf returns the time of the last query of a run.
func lastOf(run Agreement) time.Time {
	if len(run.At) == 0 {
		return time.Time{}
	}
	return run.At[len(run.At)-1]
}

// final reports whether queries agree on authorized so long after the last call
// that even an Order Query with outdated data would show a capture.
func (v situation) final(run Agreement) bool {
	return run.What == SawAuthorized && v.quiet(run) && !lastOf(run).Before(v.s.callEnded().Add(v.p.Final))
}

func noJob(v situation, _ *Finding) bool { return v.intent().TradeID == "" }

func paidUnreadable(v situation, f *Finding) bool {
	return orderIs(OrderIsPaid)(v, f) && f.Answer.Order.Amount.IsZero()
}

// notificationUnconfirmed reports whether Order Query does not show paid an hour
// after a notification said so.
func notificationUnconfirmed(v situation, f *Finding) bool {
	if !v.notifiedPaid() || f.Answer.Kind == AnswerNotSent || f.Answer.OurFault() {
		return false
	}
	return !f.Answer.askedAt(v.now).Before(v.s.NotifiedPaid.Add(v.p.AnswersFor))
}

func withdrawnUnpaid(v situation, f *Finding) bool {
	switch run := v.seenWith(f); {
	case !v.withdrawn() || !standsStill(f):
		return false
	case v.inDoubt():
		return v.final(run)
	case f.Answer.NoSuchTrade():
		return !f.Excused && v.askedSinceCall(run)
	default:
		return v.askedSinceCall(run)
	}
}

func windowClosedOn(v situation, f *Finding) bool {
	refusedForTime := v.refused() && v.s.Answer.Code == CodeWindowExceeded
	switch run := v.seenWith(f); {
	case !standsStill(f) || f.Excused && f.Answer.NoSuchTrade():
		return false
	case !v.windowOver() && !(refusedForTime && v.gatewayWindowOver()):
		return false
	case v.inDoubt() || v.s.RefusedOtherwise || v.refused() && !refusedForTime:
		return v.final(run)
	case f.Answer.NoSuchTrade():
		return v.quiet(run) // one answer alone may be a short disturbance
	default:
		return v.askedSinceCall(run)
	}
}

// gatewayWindowOver reports whether the gateway's time for the capture is over,
// whatever the job says.
func (v situation) gatewayWindowOver() bool {
	return !v.s.CreatedAt.IsZero() && !v.now.Before(v.s.CreatedAt.Add(v.p.Window))
}

// refusalExplained reports whether the query shows the cause of the refusal. An
// authorized sum that one of our own calls may have lowered is no explanation.
func refusalExplained(v situation, f *Finding) bool {
	if !v.refused() || f.Excused || !orderIs(OrderIsOpen)(v, f) || !v.askedSinceCall(v.seenWith(f)) {
		return false
	}
	shown, asked := f.Answer.Order.Amount, v.s.Job.Amount
	switch v.s.Answer.Code {
	case CodeAmountExceeded:
		return shown.less(asked) && !v.inDoubt()
	case CodeCurrencyMismatch:
		return !shown.IsZero() && shown.Currency() != asked.Currency()
	}
	return false
}

func noSuchTrade(v situation, f *Finding) bool {
	return f.Answer.NoSuchTrade() && !f.Excused && !v.inDoubt() && v.quiet(v.seenWith(f))
}

func tradeUnknown(v situation, f *Finding) bool {
	return f.Answer.NoSuchTrade() && v.quiet(v.seenWith(f))
}

func deadContradicted(v situation, f *Finding) bool {
	sight, _ := f.Answer.sight()
	return sight == SawAuthorized && v.deadAnswer() && v.quiet(v.seenWith(f))
}

func sumLowered(v situation, f *Finding) bool {
	return orderIs(OrderIsOpen)(v, f) && v.lowered(f.Answer.Order.Amount) && v.quiet(v.seenWith(f))
}

func secondIDRefused(v situation, f *Finding) bool {
	sight, _ := f.Answer.sight()
	return sight == SawAuthorized && v.newIDsRefused() && v.askedSinceCall(v.seenWith(f))
}

// unsettlingWith returns the tally of answers that settled nothing, including this
// one.
func (v situation) unsettlingWith(f *Finding) Tally {
	if f.Answer.unsettling(f.Via) {
		return v.s.Unsettling.with(f.Answer.Code, v.now)
	}
	return v.s.Unsettling
}

// spent reports whether enough answers settled nothing, and a late query did not
// either. An order in progress is waited for, and a query without an answer does
// not count.
func spent(v situation, f *Finding) bool {
	tally := v.unsettlingWith(f)
	if tally.Count < v.p.MaxAnswers || !standsStill(f) && !f.Answer.unsettling(f.Via) {
		return false
	}
	asked := f.Answer.askedAt(v.now)
	if tally.Code == CodeFieldMissing {
		return !asked.Before(v.s.callEnded())
	}
	return !asked.Before(tally.Since.Add(v.p.AnswersFor))
}
