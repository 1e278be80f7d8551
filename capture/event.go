package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// EventType names what an event of the ledger says. It is the last token of
// the event's subject.
type EventType string

// The events of a trade. A type that is not listed here was written by a newer
// program: it is kept, shown and otherwise passed over.
const (
	Attempted EventType = "attempted" // the intent: a capture call may go out from here on
	Answered  EventType = "answered"  // an answer that did not settle it
	Queried   EventType = "queried"   // what Order Query said, where it did not settle it
	Notified  EventType = "notified"  // a verified notification of the gateway
	Released  EventType = "released"  // an operator sent a parked trade back to work
	Retried   EventType = "retried"   // an operator sent a failed trade back to work
	Withdrawn EventType = "withdrawn" // the job is withdrawn: no further capture call is made
	Dismissed EventType = "dismissed" // an operator closed a parked trade's case; no outcome
	Captured  EventType = "captured"  // outcome: the money is taken
	Failed    EventType = "failed"    // outcome: no money moved, with the reason
	Parked    EventType = "parked"    // outcome: an operator must look, with the reason
)

// EventTypes lists the types in the order in which a trade may meet them.
func EventTypes() []EventType {
	return []EventType{
		Attempted, Answered, Queried, Notified, Released, Retried, Withdrawn, Dismissed, Captured, Failed, Parked,
	}
}

// Outcome reports whether the event ends the trade for us.
func (t EventType) Outcome() bool { return t == Captured || t == Failed || t == Parked }

func (t EventType) known() bool {
	switch t {
	case Attempted, Answered, Queried, Notified, Released, Retried, Withdrawn, Dismissed, Captured, Failed, Parked:
		return true
	}
	return false
}

// Via says which call an event's Answer came from.
type Via string

// The calls that give evidence.
const (
	ViaCapture Via = "capture"
	ViaQuery   Via = "query"
)

// Reasons of failed and parked outcomes. A failed outcome may also carry the
// word of an order state: declined, failed, expired, cancelled.
const (
	ReasonWindowExceeded   = "window_exceeded"    // failed: the authorization's time is over
	ReasonAmountExceeded   = "amount_exceeded"    // failed: more than was authorized
	ReasonCurrencyMismatch = "currency_mismatch"  // failed: not the authorization's currency
	ReasonTradeIncorrect   = "trade_incorrect"    // failed: the gateway knows no such authorization
	ReasonAmountMismatch   = "amount_mismatch"    // parked: paid, but not what the job asked
	ReasonRequestIDRefused = "request_id_refused" // parked: two request_ids were refused
	ReasonRefunded         = "refunded"           // parked: paid and given back
	ReasonStateUnclear     = "state_unclear"      // parked: the gateway says a word we don't know
	ReasonTradeUnknown     = "trade_unknown"      // parked: Order Query knows no such trade
	ReasonUnresolved       = "unresolved"         // parked: the truth could not be learned in time
	ReasonWithdrawn        = "withdrawn"          // failed: the job was withdrawn before any money moved

	ReasonAmountUnreadable    = "amount_unreadable"    // parked: paid, with an amount that cannot be read
	ReasonRequestRefused      = "request_refused"      // parked: -3001 to every call of this trade
	ReasonRefusalContradicted = "refusal_contradicted" // parked: refusals that Order Query does not explain
	ReasonUnknownCode         = "unknown_code"         // parked: answers that settle nothing
	ReasonRequestIDsSpent     = "request_ids_spent"    // parked: too many request_ids were used
	ReasonSumLowered          = "sum_lowered"          // parked: less is authorized than before a call in doubt
	ReasonNotifiedPaid        = "notified_paid"        // parked: a notification says paid, Order Query does not
)

// FailedReasons lists the reasons of failed outcomes, the dead order states
// among them.
func FailedReasons() []string {
	return []string{
		ReasonWindowExceeded, ReasonAmountExceeded, ReasonCurrencyMismatch, ReasonTradeIncorrect, ReasonWithdrawn,
		string(OrderDeclined), string(OrderFailed), string(OrderExpired), string(OrderCancelled),
	}
}

// ParkedReasons lists the reasons of parked outcomes.
func ParkedReasons() []string {
	return []string{
		ReasonAmountMismatch, ReasonAmountUnreadable, ReasonRequestIDRefused, ReasonRequestIDsSpent, ReasonRequestRefused,
		ReasonRefusalContradicted, ReasonUnknownCode, ReasonSumLowered, ReasonNotifiedPaid, ReasonRefunded, ReasonStateUnclear,
		ReasonTradeUnknown, ReasonUnresolved,
	}
}

// Notification is what a verified notification of the gateway said. It is
// evidence; it ends nothing by itself.
type Notification struct {
	Type          string     `json:"type,omitempty"` // payment, refund
	OrderID       string     `json:"order_id,omitempty"`
	TransactionID string     `json:"transaction_id,omitempty"`
	State         OrderState `json:"state"`
	Amount        Amount     `json:"amount,omitzero"`
	// AmountText is the amount and currency as they were sent, if they could not
	// be read as an Amount.
	AmountText string `json:"amount_text,omitempty"`
	PaidTime   string `json:"paid_time,omitempty"` // Unix seconds, as they were sent
	// Rendering names the way of signing that verified it; see package gateway.
	Rendering string `json:"rendering,omitempty"`
}

// SaysPaid reports whether the notification says that the money of a payment
// was taken.
func (n *Notification) SaysPaid() bool {
	return n != nil && n.State.Class() == OrderIsPaid && n.Type != "refund"
}

// Event is one fact about a trade. Which members are set depends on Type.
type Event struct {
	ID      string    `json:"id"` // unique; a publish that timed out is recognised by it
	Type    EventType `json:"type"`
	TradeID string    `json:"trade_id"`
	Time    time.Time `json:"time"`
	Worker  string    `json:"worker"`         // who wrote it
	Rule    string    `json:"rule,omitempty"` // the row of docs/state-machine.md that led here

	// Of attempted. Attempt counts request_ids, Call counts capture calls.
	Attempt    int       `json:"attempt,omitempty"`
	Call       int       `json:"call,omitempty"`
	RequestID  string    `json:"request_id,omitempty"`
	LeaseUntil time.Time `json:"lease_until,omitzero"` // the call has ended by then, for every worker
	Job        *Job      `json:"job,omitempty"`

	// Of answered, queried and the outcomes: the evidence.
	Via    Via     `json:"via,omitempty"`
	Answer *Answer `json:"answer,omitempty"`
	// RetryAt is the persisted schedule: nothing is asked before it unless a
	// notification comes. Where queries agree, the next one is due when the
	// settle time or their spacing is over, be that before or after it.
	RetryAt time.Time `json:"retry_at,omitzero"`
	// Excused: the intake of jobs was paused for a fault of ours when the answer
	// came (rule 9). It counts for nothing against the trade.
	Excused bool `json:"excused,omitempty"`

	// Of the outcomes. OrderID is the shop's.
	Reason   string `json:"reason,omitempty"`
	Amount   string `json:"amount,omitempty"`
	Currency string `json:"currency,omitempty"`
	OrderID  string `json:"order_id,omitempty"`
	// CaptureID is the job's, of the outcomes.
	CaptureID string `json:"capture_id,omitempty"`
	Corrects  string `json:"corrects,omitempty"` // the id of the outcome that this one corrects

	Notification *Notification `json:"notification,omitempty"` // of notified

	By   string `json:"by,omitempty"`   // of released, retried, withdrawn and dismissed, the acts of an operator: who
	Note string `json:"note,omitempty"` // and why
}

// ErrEvent is what every error about a ledger event wraps.
var ErrEvent = errors.New("not a ledger event")

// usualEvent is room for most events, in bytes.
const usualEvent = 768

// Encode writes the event as JSON.
func (e Event) Encode() ([]byte, error) { return e.AppendTo(make([]byte, 0, usualEvent)) }

// AppendTo appends to b what Encode returns.
func (e Event) AppendTo(b []byte) ([]byte, error) {
	w := jsonText{b: b}
	if w.event(&e); w.err != nil {
		return b, fmt.Errorf("encoding event %s of trade %s: %w", e.Type, e.TradeID, w.err)
	}
	return w.b, nil
}

// DecodeEvent reads an event of the ledger. Unknown members and unknown types
// are not errors: a newer program may have written them. Errors wrap ErrEvent.
func DecodeEvent(b []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(b, &e); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	if e.ID == "" || e.Type == "" || e.TradeID == "" {
		return Event{}, fmt.Errorf("%w: id, type or trade_id is missing", ErrEvent)
	}
	return e, nil
}

// Sum returns the money that an outcome speaks of, zero where it says none.
func (e Event) Sum() Amount {
	a, err := ReadAmount(e.Amount, e.Currency)
	if err != nil {
		return Amount{}
	}
	return a
}
