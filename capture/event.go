package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// EventType is the type of an event of the ledger, and the last token of the
// event's subject.
type EventType string

// The events of a trade. An event of a type that is not listed was written by a
// newer program: it is kept and shown, and otherwise ignored.
const (
	Attempted EventType = "attempted" // the intent: a capture call may follow
	Answered  EventType = "answered"  // an answer that did not settle the trade
	Queried   EventType = "queried"   // an Order Query that did not settle the trade
	Notified  EventType = "notified"  // a verified notification of the gateway
	Released  EventType = "released"  // an operator sent a parked trade back to work
	Retried   EventType = "retried"   // an operator sent a failed trade back to work
	Withdrawn EventType = "withdrawn" // the job is withdrawn: no further capture call is made
	Dismissed EventType = "dismissed" // an operator closed a parked trade's case; no outcome
	Captured  EventType = "captured"  // outcome: the money is taken
	Failed    EventType = "failed"    // outcome: no money moved, with the reason
	Parked    EventType = "parked"    // outcome: an operator must look, with the reason
)

// EventTypes lists the types, roughly in the order in which they occur.
func EventTypes() []EventType {
	return []EventType{
		Attempted, Answered, Queried, Notified, Released, Retried, Withdrawn, Dismissed, Captured, Failed, Parked,
	}
}

// Outcome reports whether the event is an outcome: captured, failed or parked.
func (t EventType) Outcome() bool { return t == Captured || t == Failed || t == Parked }

func (t EventType) known() bool {
	switch t {
	case Attempted, Answered, Queried, Notified, Released, Retried, Withdrawn, Dismissed, Captured, Failed, Parked:
		return true
	}
	return false
}

// Via is the kind of call that gave an event's Answer.
type Via string

// The kinds of calls.
const (
	ViaCapture Via = "capture"
	ViaQuery   Via = "query"
)

// Reasons of failed and parked outcomes. The reason of a failed outcome may also be
// an order state: declined, failed, expired, cancelled.
const (
	ReasonWindowExceeded   = "window_exceeded"    // failed: the authorization's time is over
	ReasonAmountExceeded   = "amount_exceeded"    // failed: more than was authorized
	ReasonCurrencyMismatch = "currency_mismatch"  // failed: not the authorization's currency
	ReasonTradeIncorrect   = "trade_incorrect"    // failed: the gateway knows no such authorization
	ReasonAmountMismatch   = "amount_mismatch"    // parked: paid, but not the sum that the job requests
	ReasonRequestIDRefused = "request_id_refused" // parked: two request_ids were refused
	ReasonRefunded         = "refunded"           // parked: paid and refunded
	ReasonStateUnclear     = "state_unclear"      // parked: the gateway shows an unknown order state
	ReasonTradeUnknown     = "trade_unknown"      // parked: Order Query knows no such trade
	ReasonUnresolved       = "unresolved"         // parked: the result could not be found out in time
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

// Notification is a verified notification of the gateway. It is evidence and never
// an outcome.
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
	// Rendering names the form in which the gateway signed it; see package gateway.
	Rendering string `json:"rendering,omitempty"`
}

// SaysPaid reports whether the notification says that a payment was captured.
func (n *Notification) SaysPaid() bool {
	return n != nil && n.State.Class() == OrderIsPaid && n.Type != "refund"
}

// Source is the message of a job, as the stream and the message itself say. The
// publisher of a message chooses its headers: Publisher and the dead letter are what
// the publisher claims.
type Source struct {
	Stream   string `json:"stream"`
	Sequence uint64 `json:"sequence"`
	// Publisher is the operator who published the message.
	Publisher string `json:"publisher,omitempty"`
	// DLQStream and DLQSequence name the dead letter whose job was published again.
	DLQStream   string `json:"dlq_stream,omitempty"`
	DLQSequence uint64 `json:"dlq_sequence,omitempty"`
}

// Event is one fact about a trade. Which members are set depends on Type.
type Event struct {
	ID      string    `json:"id"` // unique; it shows whether a publish that timed out was stored
	Type    EventType `json:"type"`
	TradeID string    `json:"trade_id"`
	Time    time.Time `json:"time"`
	Worker  string    `json:"worker"`         // the worker or command that wrote the event
	Rule    string    `json:"rule,omitempty"` // the row of docs/state-machine.md that decided

	// Of attempted. Attempt counts request_ids, Call counts capture calls.
	Attempt    int       `json:"attempt,omitempty"`
	Call       int       `json:"call,omitempty"`
	RequestID  string    `json:"request_id,omitempty"`
	LeaseUntil time.Time `json:"lease_until,omitzero"` // the call has ended by then, for every worker
	Job        *Job      `json:"job,omitempty"`
	// Source is the message that asked for it; nil if it is not known.
	Source *Source `json:"source,omitempty"`

	// Of answered, queried and the outcomes: the evidence.
	Via    Via     `json:"via,omitempty"`
	Answer *Answer `json:"answer,omitempty"`
	// RetryAt is the time of the next query, unless a notification comes. If
	// queries agree, the next one is due when the settle time or their spacing is
	// over, before or after RetryAt.
	RetryAt time.Time `json:"retry_at,omitzero"`
	// Excused means that the intake of jobs was paused for a fault of ours when the
	// answer came (rule 9). The answer does not count against the trade.
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

	By   string `json:"by,omitempty"`   // the operator, in released, retried, withdrawn and dismissed
	Note string `json:"note,omitempty"` // and the operator's reason
	// ApprovedBy is the second operator of an act that needs one (approval.above).
	ApprovedBy string `json:"approved_by,omitempty"`
}

// ErrEvent is wrapped by every error about a ledger event.
var ErrEvent = errors.New("not a ledger event")

// usualEvent is a size that fits most events, in bytes.
const usualEvent = 768

// Encode writes the event as JSON.
func (e Event) Encode() ([]byte, error) { return e.AppendTo(make([]byte, 0, usualEvent)) }

// AppendTo appends to b what Encode returns. It changes nothing; its receiver is a
// pointer because a copy of an event is large for the stack of a job.
func (e *Event) AppendTo(b []byte) ([]byte, error) {
	w := jsonText{b: b}
	if w.event(e); w.err != nil {
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

// Sum returns the amount of an outcome, zero if it has none.
func (e Event) Sum() Amount {
	a, err := ReadAmount(e.Amount, e.Currency)
	if err != nil {
		return Amount{}
	}
	return a
}
