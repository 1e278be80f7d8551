package capture_test

import (
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// What may come back from a capture call, and what it means for the money.
type reply struct {
	kind capture.AnswerKind
	code string
}

// noes are the answers that leave the money alone.
var noes = []reply{
	{capture.AnswerRefused, capture.CodeAmountExceeded},
	{capture.AnswerRefused, capture.CodeFieldMissing},
	{capture.AnswerUnknown, "-9999"},
	{capture.AnswerRefused, capture.CodeWindowExceeded},
	{capture.AnswerRefused, capture.CodeTradeID},
	{capture.AnswerRefused, capture.CodeRequestID},
	{capture.AnswerRefused, capture.CodeSignature},
	{capture.AnswerNotSent, ""},
}

func paidAnswer(a capture.Amount) capture.Answer {
	return orderAnswer(capture.OrderPaid, a)
}

func orderAnswer(s capture.OrderState, a capture.Amount) capture.Answer {
	return capture.Answer{Kind: capture.AnswerDone, Code: capture.CodeSuccess, Order: &capture.Order{TradeID: "T1", State: s, Amount: a}}
}

// judged writes down what an answer proves.
func (w world) judged(f capture.Finding, job *capture.Job) world {
	e := capture.Judge(new(w.state), job, f, w.now, brief)
	w.judgements = []string{judgement(w.state, f, e)}
	if e == nil {
		return w.did("%s says %s %s, nothing written", f.Via, f.Answer.Kind, f.Answer.Code)
	}
	return w.append(*e).did("%s: %s %s", e.Rule, e.Type, e.Reason)
}

// judgement names the row that judged. Of the rows that write nothing, the
// phase tells which it was.
func judgement(s capture.State, f capture.Finding, e *capture.Event) string {
	table, row := capture.TableQuery, ""
	if f.Via == capture.ViaCapture {
		table = capture.TableCapture
	}
	switch {
	case e != nil:
		row = e.Rule
	case s.Phase == capture.PhaseCaptured:
		row = "already captured"
	default:
		row = "late answer"
	}
	return table + "/" + row
}

// answered is the reply to the last call, read a second after the call.
func (w world) answered(a capture.Answer) world {
	return w.judged(capture.Finding{Via: capture.ViaCapture, Call: w.state.Call, Answer: a}, &w.job)
}

// calls returns every way the capture call that was just announced may go.
func (w world) calls() []world {
	var out []world
	sum := w.state.Job.Amount
	for _, no := range noes {
		// After a capture the gateway never says the trade is there for another
		// request; which code it uses is unverified.
		out = append(out, w.answered(capture.Answer{Kind: no.kind, Code: no.code}).did("no %s", no.code))
	}
	declined := orderAnswer(capture.OrderDeclined, sum)
	declined.Kind = capture.AnswerRefused
	out = append(out, w.answered(declined).did("declined"))
	failed := capture.Answer{Kind: capture.AnswerUnknown, Code: capture.CodeInternal}
	timeout := capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout"}
	out = append(out, w.answered(failed), w.answered(timeout).did("lost"), w.did("crash"))
	if !w.alive() || w.job.AuthorizedAmount == eurMust("9.00") && sum == eurMust("10.00") {
		if w.taken == sum && !w.foreign { // a repeated request_id, replayed
			out = append(out, w.answered(paidAnswer(sum)))
		}
		return out
	}
	took := w.did("takes effect")
	took.taken, took.shows = sum, w.now.Add(brief.Settle)
	out = append(out, took.answered(paidAnswer(sum)), took.answered(failed), took.answered(timeout))

	slowQuery := took.did("a slow Order Query")
	slowQuery.shows, slowQuery.behind = w.now.Add(brief.Final), true
	out = append(out, slowQuery.answered(timeout))

	crashed := took.did("crash")
	crashed.shows = w.now.Add(briefLease + brief.Settle)
	slow := crashed.did("slow worker")
	slow.slow, slow.slowDone = w.state.Call, true
	slowNo := w.did("slow worker, refused")
	slowNo.slow = w.state.Call
	out = append(out, crashed, slow, slowNo)

	late := w.did("on its way")
	late.flying, late.lands = sum, w.now.Add(brief.Settle)
	lost := late
	lost.lands = w.now.Add(briefLease + brief.Settle)
	return append(out, late.answered(timeout), lost.did("crash"))
}

// queries returns every answer that Order Query may give at this moment.
func (w world) queries(job *capture.Job) []world {
	var out []world
	ask := func(w world, a capture.Answer) {
		out = append(out, w.judged(capture.Finding{Via: capture.ViaQuery, Answer: a}, job))
	}
	ask(w, capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout"})
	ask(w, capture.Answer{Kind: capture.AnswerUnknown, Code: "-9998"})
	switch {
	case w.gone == "none":
		ask(w, capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeTradeID})
		return out
	case w.gone != "":
		ask(w, orderAnswer(w.gone, w.job.Amount))
		return out
	}
	if w.taken.IsZero() || w.now.Before(w.shows) {
		ask(w, orderAnswer(capture.OrderAuthorized, w.job.AuthorizedAmount))
		ask(w, orderAnswer(capture.OrderAuthorized, w.job.Amount))
		ask(w, orderAnswer(capture.OrderPending, w.job.AuthorizedAmount))
	}
	if !w.taken.IsZero() {
		ask(w, orderAnswer(capture.OrderPaid, w.taken))
		ask(w, orderAnswer(capture.OrderPaid, capture.Amount{}))
		// How a capture by another hand shows is its own; it is told apart
		// from ours by its amount alone.
		if !w.foreign {
			ask(w, orderAnswer(capture.OrderPaid, w.job.AuthorizedAmount))
		}
	}
	return out
}

// fates are the ways an authorization ends without us, once on a path.
func (w world) fates() []world {
	var out []world
	end := func(s capture.OrderState, ok bool) {
		if next, fresh := w.once("fate"); ok && fresh {
			next.gone = s
			out = append(out, next.did("the trade is %s", s))
		}
	}
	end(capture.OrderExpired, w.alive())
	end("none", w.alive() && w.state.Call <= 1)
	end("voided", w.alive())
	end(capture.OrderRefunded, !w.taken.IsZero())
	return out
}

// elsewhere are the things that happen besides the job's own way.
func (w world) elsewhere() []world {
	out := w.fates()
	if !w.flying.IsZero() && w.alive() && w.now.Before(w.lands) {
		out = append(out, w.land())
	}
	if next, fresh := w.once("notified"); fresh && w.state.Events > 0 {
		out = append(out, next.append(capture.Event{Type: capture.Notified, TradeID: "T1"}).did("notified"))
	}
	if next, fresh := w.once("notified paid"); fresh && w.state.Events > 0 {
		out = append(out, next.append(capture.Event{Type: capture.Notified, TradeID: "T1",
			Notification: &capture.Notification{Type: "payment", State: capture.OrderPaid, Amount: w.job.Amount}}).did("notified paid"))
	}
	if next, fresh := w.once("withdrawn"); fresh {
		out = append(out, next.append(capture.Event{Type: capture.Withdrawn, TradeID: "T1", By: "ann", Note: "returned"}).did("withdrawn"))
	}
	if next, fresh := w.once("watched " + string(w.state.Phase)); fresh && w.state.Events > 0 {
		out = append(out, next.did("queried").queries(nil)...)
	}
	if w.slow > 0 {
		out = append(out, w.slowAnswer())
	}
	if next, fresh := w.once("by hand"); fresh && w.state.Events > 0 && w.alive() && w.flying.IsZero() && !w.state.Unanswered {
		next.shows, next.foreign = next.now, true
		as := next.did("captured elsewhere, as asked")
		next.taken, as.taken = byHand, w.job.Amount
		out = append(out, next.did("captured elsewhere"), as)
	}
	return out
}

// slowAnswer comes to a worker that the others had given up.
func (w world) slowAnswer() world {
	f := capture.Finding{Via: capture.ViaCapture, Call: w.slow,
		Answer: capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeAmountExceeded}}
	if w.slowDone {
		f.Answer = paidAnswer(w.taken)
	}
	w.slow = 0
	return w.did("slow answer").judged(f, nil)
}

// settledMoves is what may come after an outcome: another ask, more time, an
// operator, another query.
func (w world) settledMoves() []world {
	var out []world
	if next, fresh := w.once("second job"); fresh {
		other, more := next, next
		other.job.Amount = eurMust("8.00")
		more.job.CaptureBefore = w.now.Add(12 * time.Second)
		out = append(out, other.did("a job for 8.00"), more.did("a job with more time"))
	}
	if next, fresh := w.once("retried"); fresh && w.state.Phase == capture.PhaseFailed {
		out = append(out, next.append(capture.Event{Type: capture.Retried, TradeID: "T1", By: "ann", Note: "again"}).did("retried"))
	}
	if next, fresh := w.once("released"); fresh && w.state.Phase == capture.PhaseParked {
		out = append(out, next.append(capture.Event{Type: capture.Released, TradeID: "T1", By: "ann", Note: "again"}).did("released"))
	}
	return out
}

// byHand is what is captured at the gateway by other means.
var byHand = eurMust("7.00")

func eurMust(s string) capture.Amount {
	a, err := capture.ParseAmount(s, "EUR")
	if err != nil {
		panic(err)
	}
	return a
}
