package history

import (
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Verdict answers whether the money of a trade was taken.
type Verdict string

// The verdicts.
const (
	Charged          Verdict = "charged"            // as the job asked
	ChargedOtherwise Verdict = "charged_otherwise"  // money moved, but not as the job asked: an operator must look
	NotCharged       Verdict = "not_charged"        // no money was taken
	NotKnown         Verdict = "not_known"          // not known yet; the workers continue
	NeedsOperator    Verdict = "not_known_operator" // not known, and an operator must look
)

// VerdictOf returns the verdict on a trade with this state.
func VerdictOf(s capture.State) Verdict {
	if s.Outcome == nil {
		return NotKnown
	}
	switch s.Outcome.Type {
	case capture.Captured:
		return Charged
	case capture.Failed:
		if !s.NotifiedPaid.IsZero() {
			return NotKnown
		}
		return NotCharged
	}
	switch s.Outcome.Reason {
	case capture.ReasonAmountMismatch, capture.ReasonAmountUnreadable, capture.ReasonRefunded:
		return ChargedOtherwise
	}
	return NeedsOperator
}

// New returns the history of a trade from events that were read elsewhere, in the
// ledger's order. policy is that of the workers.
func New(tradeID string, events []capture.Event, policy capture.Policy) Trade {
	return Trade{TradeID: tradeID, Phase: capture.Fold(events).Phase, Events: events, policy: policy}
}

// Summary returns the trade in three lines, as WriteText prints them.
func (t Trade) Summary(now time.Time) Summary {
	return Summarize(t.Events, capture.Fold(t.Events), now, t.policy)
}

// Line is one event of a trade in words.
type Line struct {
	Event capture.Event
	What  string // what happened, and when the gateway is asked again
	By    string // the operator or the worker that wrote it
}

// Lines returns the events of the trade as WriteText prints them.
func (t Trade) Lines() []Line {
	lines := make([]Line, 0, len(t.Events))
	var then capture.State
	for _, e := range t.Events {
		then.Add(&e)
		what := describe(withFacts(e, t.Events), nextQuery(then, e, t.policy))
		lines = append(lines, Line{Event: e, What: what, By: writer(e)})
	}
	return lines
}
