// Package audit reads the ledger of a trade as an outsider would: it checks the
// rules of docs/rules.md on the events themselves, and compares them with what
// the gateway reports happened to the money.
//
// It is a second reading on purpose. It uses the words of package capture
// (events, answers, amounts) and none of its reasoning: not Decide, not Judge,
// not State. What the tables get wrong, this package has a chance to see.
//
//   - Events checks one trade's events against the rules.
//   - Compare checks them against the gateway's truth, if a simulator or a
//     statement shows it.
//   - Collector does both for many trades, in constant memory, and adds up a
//     Report.
//
// Where a rule leaves room, the reading takes the side of who wrote the ledger:
// a violation is a broken rule, never a matter of taste. Of the counts it keeps
// two, therefore: what surely counted, for "no more calls after it", and what
// may have counted, for "not enough to park".
package audit

import "fmt"

// Violation is one rule broken by one trade.
type Violation struct {
	TradeID string `json:"trade_id"`
	Rule    string `json:"rule"`               // the number in docs/rules.md, or one of the words below
	EventID string `json:"event_id,omitempty"` // the event that breaks it, "" if it is the trade as a whole
	Detail  string `json:"detail"`
}

// Violations that are not a rule's number.
const (
	// Unsettled: the trade has no outcome. It is wrong only if the work was said
	// to be over.
	Unsettled = "unsettled"
	// TruthDiffers: the ledger and the gateway say different things.
	TruthDiffers = "truth"
)

// String returns the violation as one line.
func (v Violation) String() string {
	where := ""
	if v.EventID != "" {
		where = " (event " + v.EventID + ")"
	}
	return fmt.Sprintf("trade %s: rule %s: %s%s", v.TradeID, v.Rule, v.Detail, where)
}
