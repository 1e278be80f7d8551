// Package audit checks the ledger independently: it tests the events of a trade against
// the rules of docs/rules.md, and compares them with what the gateway did.
//
//   - [Events] checks the events of one trade against the rules.
//   - [Compare] checks them against the gateway's truth, from a simulator or a statement.
//   - [Collector] does both for many trades, in constant memory, and adds up a [Report].
//
// It is deliberately a second implementation. It uses the types of package capture
// (events, answers, amounts), but not its decisions: not Decide, Judge or State. An
// error in the decision tables is therefore likely to be found here.
//
// # Guarantees
//
// A [Violation] is a broken rule. If a rule leaves a choice, every permitted choice
// passes. Therefore two counts of inconclusive answers are kept: those that must count,
// to find calls that came too late, and those that may count, to find trades that were
// parked too early.
//
// The package does no I/O: the caller loads the events. Rules that need more than the
// events of one trade, such as rule 12, are not checked.
package audit

import "fmt"

// Violation is one broken rule of one trade.
type Violation struct {
	TradeID string `json:"trade_id"`
	Rule    string `json:"rule"`               // the number in docs/rules.md, or one of the constants below
	EventID string `json:"event_id,omitempty"` // the event that breaks it, "" for the trade as a whole
	Detail  string `json:"detail"`
}

// Values of Violation.Rule that are not the number of a rule.
const (
	// Unsettled means that the trade has no outcome. It is reported by Compare
	// only, which is meant for trades whose work has ended.
	Unsettled = "unsettled"
	// TruthDiffers means that the ledger and the gateway differ.
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
