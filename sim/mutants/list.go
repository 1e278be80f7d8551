package main

// mutation is one bug put into production code.
type mutation struct {
	name string
	file string // from the root of the repository
	old  string // occurs exactly once
	new  string
}

// mutations are the bugs that a capture worker must not have, each as small as
// it can be.
var mutations = []mutation{
	{"a retry without a query", "capture/situation.go",
		"	if v.s.Agreeing.What != SawAuthorized || v.refusalStands() {",
		"	if v.s.Call > 0 && !v.s.Unanswered && !v.refusalStands() {\n		return true\n	}\n	if v.s.Agreeing.What != SawAuthorized || v.refusalStands() {"},
	{"an ack where trouble should hand the job back", "worker/process.go",
		"	return p.handBack(&job, err)", "	return Disposition{Do: Ack}"},
	{"a timeout is a failure", "capture/judge.go",
		"	if a.Kind != AnswerRefused {", "	if a.Kind == AnswerUnknown && a.Code == \"\" {\n		return ReasonFieldMissing\n	}\n	if a.Kind != AnswerRefused {"},
	{"no settle time", "capture/situation.go",
		"	from := v.s.callEnded().Add(v.p.Settle)", "	from := v.s.callEnded()"},
	{"one query where two must agree", "capture/situation.go",
		"	return len(v.settled(a)) >= v.p.Agree", "	return len(v.settled(a)) >= 1"},
	{"a conflict is overwritten", "reconcile/clerk.go",
		"		if openErr != nil {\n			return t, openErr\n		}",
		"		if openErr == nil {\n			seq, openErr = c.Ledger.Append(ctx, *e, fresh.Seq)\n		}\n		if openErr == nil {\n			return fresh.with(e, seq), nil\n		}"},
	{"a new request_id on every retry", "capture/situation.go",
		"	return v.s.RequestID == \"\" || v.newAsk() || v.idSpent()", "	return true"},
	{"a lost call counts as ended when it began", "capture/state.go",
		"		return s.LeaseUntil\n", "		return s.OpenedAt\n"},
	{"our own lease is not minded", "worker/process.go",
		"	return !now.Before(intent.LeaseUntil) || !now.Round(0).Before(intent.LeaseUntil.Round(0)) || (", "	return ("},
	{"a refusal is believed though an earlier call is in doubt", "capture/judge.go",
		" && !f.Answer.needsQuery() && !v.s.Doubted", " && !f.Answer.needsQuery()"},
	{"-4089 and -4024 are believed without a query", "capture/judge.go",
		"{ return a.Code == CodeWindowExceeded || a.Code == CodeTradeID }", "{ return false }"},
	{"paid is captured, whatever the amount", "capture/judge.go",
		"	case seen == job.Amount, v.firstAsk(seen):", "	case true:"},
	{"a job in conflict is acked", "worker/process.go",
		"			return conflict(&job, trade, &step)", "			return Disposition{Do: Ack, Rule: step.Rule}"},
	{"the deadline is not minded", "capture/situation.go",
		"	return !deadline.IsZero() && !v.now.Before(deadline)", "	return false && deadline.IsZero()"},
	{"the window closes on one query, though a call was lost", "capture/judge.go",
		"	if v.s.callLost() || v.s.Doubted {\n		return v.quiet(v.seenWith(f))\n	}\n	return v.askedSinceCall", "	return v.askedSinceCall"},
	{"a refusal of our key is none of our fault", "capture/answer.go",
		"	return a.Kind == AnswerRefused && (a.Code == CodeSignature || a.Code == CodeUser)", "	return false"},
	{"a refusal of our key fails the trade", "capture/judge.go",
		"	case CodeFieldMissing:\n", "	case CodeFieldMissing, CodeSignature, CodeUser:\n"},
	{"the call goes out before its intent is written", "worker/process.go",
		"	trade, err = p.Clerk.Record(ctx, trade, intent)\n	if err != nil {\n		return trade, decideAgain(err)\n	}\n	answer := p.call(ctx, intent)",
		"	answer := p.call(ctx, intent)\n	trade, err = p.Clerk.Record(ctx, trade, intent)\n	if err != nil {\n		return trade, decideAgain(err)\n	}"},
	{"a gateway slot is held while the ledger is read", "worker/process.go",
		"		return finding.Answer\n", "		_, _ = p.Clerk.Open(ctx, trade.ID)\n		return finding.Answer\n"},
	{"the schedule is not minded", "capture/situation.go",
		"{ return v.now.Before(v.dueAt()) }", "{ return false }"},
	{"given up at the deadline at once", "capture/situation.go",
		"	limit := from.Add(v.p.GiveUpAfter)", "	limit := from"},
}

// rare are bugs that take thousands of seeds: a worker must stand still, or a
// reading lag, at one certain moment.
var rare = []mutation{
	{"a job ends on a stale reading", "worker/process.go",
		"		if trade.MayLag && ", "		if false && "},
	{"an answer is dated by its writing", "capture/judge.go",
		"	if f.Asked.IsZero() {", "	if true {"},
}
