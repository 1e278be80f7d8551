package gatewaytest

import (
	"encoding/json"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// keptPerTrade limits the recorded calls, and the notifications, of one trade: the
// latest are kept.
const keptPerTrade = 1000

// Effect is a capture that took effect.
type Effect struct {
	At        time.Time      `json:"at"`
	Amount    capture.Amount `json:"amount"`
	RequestID string         `json:"request_id,omitempty"`
}

// Call is one call with the trade_id, as the simulator received it.
type Call struct {
	At        time.Time `json:"at"`
	Method    string    `json:"method"`
	RequestID string    `json:"request_id,omitempty"`
	Amount    string    `json:"amount,omitempty"` // as sent, with the currency
	Fault     Fault     `json:"fault,omitempty"`  // of the call
	// Code is the code of the answer, also if a fault kept it from the client; "" if the
	// call was not processed.
	Code       string `json:"code,omitempty"`
	TookEffect bool   `json:"took_effect,omitempty"`
}

// Sent is one notification.
type Sent struct {
	At        time.Time          `json:"at"`
	Kind      string             `json:"kind"` // "status", or the name of the fault
	State     capture.OrderState `json:"state"`
	Form      Form               `json:"form"`
	Tries     int                `json:"tries"`
	Delivered bool               `json:"delivered"` // answered ok
	Problem   string             `json:"problem,omitempty"`
}

// Truth is what really happened to a trade.
type Truth struct {
	Trade // State is the initial state
	// Now is the current state, as a query without fault shows it.
	Now capture.OrderState
	// Captures has the captures that took effect, including pending ones.
	Captures []Effect
	// Calls and Notifications have the latest 1000 of their totals.
	Calls              []Call
	CallsTotal         int
	Notifications      []Sent
	NotificationsTotal int
}

type truthJSON struct {
	TradeID            string             `json:"trade_id"`
	Amount             string             `json:"amount"`
	Currency           string             `json:"currency"`
	AuthorizedAt       time.Time          `json:"authorized_at"`
	ExpiresAt          time.Time          `json:"expires_at"`
	InitialState       capture.OrderState `json:"initial_state"`
	State              capture.OrderState `json:"state"`
	Captures           []effectJSON       `json:"captures"`
	Calls              []Call             `json:"calls"`
	CallsTotal         int                `json:"calls_total"`
	Notifications      []Sent             `json:"notifications"`
	NotificationsTotal int                `json:"notifications_total"`
}

type effectJSON struct {
	At        time.Time `json:"at"`
	Amount    string    `json:"amount"`
	Currency  string    `json:"currency"`
	RequestID string    `json:"request_id,omitempty"`
}

// MarshalJSON writes one flat object: the trade's members, state (the current one),
// initial_state, captures (each with at, amount, currency, request_id), calls and
// notifications with their totals. Lists are never null.
func (t Truth) MarshalJSON() ([]byte, error) {
	w := truthJSON{
		TradeID: t.TradeID, Amount: t.Amount.Number(), Currency: t.Amount.Currency(),
		AuthorizedAt: t.AuthorizedAt, ExpiresAt: t.ExpiresAt, InitialState: t.State, State: t.Now,
		Captures: []effectJSON{},
		Calls:    append([]Call{}, t.Calls...), CallsTotal: t.CallsTotal,
		Notifications: append([]Sent{}, t.Notifications...), NotificationsTotal: t.NotificationsTotal,
	}
	for _, e := range t.Captures {
		w.Captures = append(w.Captures, effectJSON{e.At, e.Amount.Number(), e.Amount.Currency(), e.RequestID})
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *Truth) UnmarshalJSON(b []byte) error {
	var w truthJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	authorized, err := capture.ReadAmount(w.Amount, w.Currency)
	if err != nil {
		return err
	}
	*t = Truth{
		Trade: Trade{
			TradeID: w.TradeID, Amount: authorized, AuthorizedAt: w.AuthorizedAt,
			ExpiresAt: w.ExpiresAt, State: w.InitialState,
		},
		Now: w.State, Calls: w.Calls, CallsTotal: w.CallsTotal,
		Notifications: w.Notifications, NotificationsTotal: w.NotificationsTotal,
	}
	for _, e := range w.Captures {
		amount, err := capture.ReadAmount(e.Amount, e.Currency)
		if err != nil {
			return err
		}
		t.Captures = append(t.Captures, Effect{e.At, amount, e.RequestID})
	}
	return nil
}

// keepLast appends to a list and drops the oldest elements above the limit, a quarter at
// a time, so that a long list is not moved on every call.
func keepLast[T any](list []T, v T) []T {
	if len(list) >= keptPerTrade+keptPerTrade/4 {
		list = append(list[:0], list[len(list)-keptPerTrade+1:]...)
	}
	return append(list, v)
}

func latest[T any](list []T) []T { return list[max(0, len(list)-keptPerTrade):] }
