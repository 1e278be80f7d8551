package capture

import "time"

// Finding is an answer together with the call that gave it.
type Finding struct {
	Via    Via
	Call   int // of ViaCapture: the number of the capture call that was answered
	Answer Answer
	// Asked is when the question was asked, by the clock of who judges it; zero
	// where only Answer.Latency tells.
	Asked time.Time
}

// age is how long ago the question was asked. The client's measure ends where it
// read the answer; who judges it may have stood still, or read a ledger, since.
func (f *Finding) age(now time.Time) time.Duration {
	if f.Asked.IsZero() {
		return f.Answer.Latency
	}
	return max(f.Answer.Latency, now.Sub(f.Asked))
}

// verdict drafts an event.
type verdict = func(situation, *Finding) *Event

// judgeRow is a line of the table of evidence: the first whose condition holds
// decides what is written down.
type judgeRow struct {
	name string
	rule string
	if_  string
	then string
	when func(situation, *Finding) bool
	say  verdict
}

var judgeCaptureTable = []judgeRow{
	{"already captured", "11", "the trade is captured", "nothing: captured is never taken back", phaseIs(PhaseCaptured), nothing},
	{"paid, answered", "6", "done: paid, and trade, amount and currency are the intent's",
		"captured (correcting a failed or parked outcome)", captureDone, settleCaptured},
	{"late answer", "7", "the answer of an earlier call, or the trade has an outcome by now",
		"nothing: what followed was decided without it", answerLate, nothing},
	{"refused", "5", "a final refusal that needs no query, and no earlier call of the trade ended in doubt (lost, or -1000)",
		"failed, with the refusal as the reason", refusedForSure, failForRefusal},
	{"unsettled", "2, 3, 5, 9", "any other answer: unknown, not sent, -4118, our fault, a refusal to be confirmed",
		"answered, with the time of the next try", anyFinding, note(Answered)},
}

var judgeQueryTable = []judgeRow{
	{"already captured", "11", "the trade is captured", "nothing: captured is never taken back", phaseIs(PhaseCaptured), nothing},
	{"paid", "6, 11", "paid, and the amount agrees: the job's, or the authorized one where an attempt of ours is in the ledger",
		"captured (correcting a failed or parked outcome)", paidAgrees, settleCaptured},
	{"paid otherwise", "6", "paid, with another amount or currency",
		"parked: amount_mismatch", andNotParked(orderIs(OrderIsPaid)), settle(Parked, ReasonAmountMismatch)},
	{"refunded", "5", "refunded", "parked: refunded", andNotParked(isRefunded), settle(Parked, ReasonRefunded)},
	{"unclear", "5", "a state we do not know", "parked: state_unclear", andNotParked(orderIs(OrderIsUnclear)), settle(Parked, ReasonStateUnclear)},
	{"dead", "5, 11", "declined, failed, expired or cancelled",
		"failed, with that word as the reason", andNotFailed(orderIs(OrderIsDead)), failForState},
	{"window over", "10", "authorized or no such trade, the deadline has passed, and no call of ours can land any more",
		"failed: window_exceeded", andNotFailed(windowClosedOn), settle(Failed, ReasonWindowExceeded)},
	{"refusal confirmed", "5", "the last call was refused for good, and the query does not contradict it: no such trade, or `agree` queries after the settle time say authorized",
		"failed, with the refusal as the reason", refusalConfirmed, failForRefusal},
	{"second id refused", "4", "authorized, and two request_ids were answered -4118",
		"parked: request_id_refused", secondIDRefused, settle(Parked, ReasonRequestIDRefused)},
	{"trade unknown", "5", "`agree` queries after the settle time say that there is no such trade, and no call was refused",
		"parked: trade_unknown", tradeUnknown, settle(Parked, ReasonTradeUnknown)},
	{"seen", "2, 3", "anything else: authorized, in progress, or the query told nothing",
		"queried, with the time of the next try", anyFinding, note(Queried)},
}

// Judge says what an answer proves about a trade, as the event to append, nil
// where there is nothing to write down. The shell fills in id, time and worker,
// and of answered and queried the time of the next try.
//
// job is the job at hand; it is nil where a person, a notification or a batch
// asks. now is when the answer arrived. It changes neither s nor job.
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

// settleCaptured names the amount that was asked for: of the intent, unless the
// money that is there is that of an earlier ask.
func settleCaptured(v situation, f *Finding) *Event {
	e := v.outcome(Captured, "")
	seen := f.Answer.Order.Amount
	if f.Via == ViaCapture || v.firstAsk(seen) {
		e.Amount, e.Currency = seen.Number(), seen.Currency()
	}
	return e
}

func failForRefusal(v situation, f *Finding) *Event {
	answer := v.s.Answer
	if f.Via == ViaCapture {
		answer = f.Answer
	}
	return v.outcome(Failed, answer.FinalRefusal())
}

func failForState(v situation, f *Finding) *Event {
	return v.outcome(Failed, string(f.Answer.Order.State))
}

// FinalRefusal returns the reason of a capture call's refusal that no further
// call can change, "" where the answer is no such refusal.
func (a Answer) FinalRefusal() string {
	if a.Kind != AnswerRefused {
		return ""
	}
	switch a.Code {
	case CodeFieldMissing:
		return ReasonFieldMissing
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

// needsQuery: refusals that may hide something, the window and "already
// captured", are believed only after Order Query was asked.
func (a Answer) needsQuery() bool { return a.Code == CodeWindowExceeded || a.Code == CodeTradeID }

// captureDone: an answer to an earlier call may be about an earlier ask, whose
// amount the client has compared with its request; one to the last call must
// agree with the intent as well.
func captureDone(v situation, f *Finding) bool {
	if f.Answer.Kind != AnswerDone || !orderIs(OrderIsPaid)(v, f) || f.Answer.Order.Amount.IsZero() {
		return false
	}
	return f.Call < v.s.Call || v.s.NewAsk || f.Answer.Order.Amount == v.s.Job.Amount
}

func answerLate(v situation, f *Finding) bool {
	return f.Call != v.s.Call || v.s.Outcome != nil
}

func refusedForSure(v situation, f *Finding) bool {
	return f.Answer.FinalRefusal() != "" && !f.Answer.needsQuery() && !v.s.Doubted
}

func orderIs(c OrderClass) func(situation, *Finding) bool {
	return func(_ situation, f *Finding) bool {
		return f.Answer.Kind == AnswerDone && f.Answer.Order != nil && f.Answer.Order.State.Class() == c
	}
}

func isRefunded(_ situation, f *Finding) bool {
	return f.Answer.Kind == AnswerDone && f.Answer.Order != nil && f.Answer.Order.State == OrderRefunded
}

// paidAgrees is rule 6. Whether Order Query shows the captured or the
// authorized amount after a partial capture is unverified, so both are taken,
// the latter only for a capture that we announced ourselves.
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

// firstAsk: a failed trade that a corrected job reopened was paid after all, as
// the first job asked.
func (v situation) firstAsk(seen Amount) bool { return v.reopened() && seen == v.s.Outcome.Sum() }

// andNotParked keeps a parked trade from being parked again by every query
// that sees the same.
func andNotParked(c func(situation, *Finding) bool) func(situation, *Finding) bool {
	return func(v situation, f *Finding) bool { return v.phase() != PhaseParked && c(v, f) }
}

// andNotFailed does the same for a failed trade, unless the job at hand asks
// for something else and needs an end of its own.
func andNotFailed(c func(situation, *Finding) bool) func(situation, *Finding) bool {
	return func(v situation, f *Finding) bool { return (v.phase() != PhaseFailed || v.reopened()) && c(v, f) }
}

// seenWith is the run of agreeing queries with this one added.
func (v situation) seenWith(f *Finding) Agreement {
	return v.s.Agreeing.with(f.Answer, f.Answer.askedAt(v.now))
}

// standsStill: the query showed no money and nothing under way.
func standsStill(f *Finding) bool {
	sight, told := f.Answer.sight()
	return told && sight != ""
}

func windowClosedOn(v situation, f *Finding) bool {
	if !standsStill(f) || !v.windowOver() {
		return false
	}
	if v.s.callLost() || v.s.Doubted {
		return v.quiet(v.seenWith(f))
	}
	return v.askedSinceCall(v.seenWith(f))
}

func refusalConfirmed(v situation, f *Finding) bool {
	if !standsStill(f) || v.s.Outcome != nil || !v.refusalStands() {
		return false
	}
	return f.Answer.NoSuchTrade() || v.quiet(v.seenWith(f))
}

func secondIDRefused(v situation, f *Finding) bool {
	sight, _ := f.Answer.sight()
	return sight == SawAuthorized && v.open() && !v.newAsk() &&
		v.s.Answer.Code == CodeRequestID && v.s.IDRefusals >= 2 && v.askedSinceCall(v.seenWith(f))
}

func tradeUnknown(v situation, f *Finding) bool {
	return f.Answer.NoSuchTrade() && v.open() && v.quiet(v.seenWith(f))
}
