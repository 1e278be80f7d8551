package gatewaytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// ErrTrade is wrapped by errors of [Simulator.AddTrades] and [Simulator.Script].
var ErrTrade = errors.New("gateway simulator: trade")

// Trade is an authorization at the gateway.
type Trade struct {
	TradeID string
	Amount  capture.Amount // authorized
	// A zero AuthorizedAt is now, a zero ExpiresAt is AuthorizedAt plus the capture
	// window of 30 days.
	AuthorizedAt time.Time
	ExpiresAt    time.Time
	// State is the initial state; "" is authorized. A trade that starts as paid was
	// captured in full at AuthorizedAt, without a request_id. Unknown states are allowed.
	State capture.OrderState
	// Script has the steps of the trade's first calls.
	Script []Step
}

type tradeJSON struct {
	TradeID      string             `json:"trade_id"`
	Amount       string             `json:"amount"`
	Currency     string             `json:"currency"`
	AuthorizedAt time.Time          `json:"authorized_at,omitzero"`
	ExpiresAt    time.Time          `json:"expires_at,omitzero"`
	State        capture.OrderState `json:"state,omitempty"`
	Script       []Step             `json:"script,omitempty"`
}

// MarshalJSON writes amount and currency beside the other members.
func (t Trade) MarshalJSON() ([]byte, error) { return json.Marshal(t.wire()) }

func (t Trade) wire() tradeJSON {
	return tradeJSON{
		TradeID: t.TradeID, Amount: t.Amount.Number(), Currency: t.Amount.Currency(),
		AuthorizedAt: t.AuthorizedAt, ExpiresAt: t.ExpiresAt, State: t.State, Script: t.Script,
	}
}

// UnmarshalJSON reads what MarshalJSON writes. Errors wrap ErrTrade.
func (t *Trade) UnmarshalJSON(b []byte) error {
	var w tradeJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("%w: %w", ErrTrade, err)
	}
	amount, err := capture.ReadAmount(w.Amount, w.Currency)
	if err != nil {
		return fmt.Errorf("%w %q: %w", ErrTrade, w.TradeID, err)
	}
	*t = Trade{
		TradeID: w.TradeID, Amount: amount, AuthorizedAt: w.AuthorizedAt,
		ExpiresAt: w.ExpiresAt, State: w.State, Script: w.Script,
	}
	return nil
}

// complete checks the trade and fills in defaults.
func (t Trade) complete(now time.Time) (Trade, error) {
	if !capture.ValidTradeID(t.TradeID) {
		return t, fmt.Errorf("%w %q: trade_id must be 1 to 64 of A-Z a-z 0-9 _ -", ErrTrade, t.TradeID)
	}
	if t.Amount.IsZero() {
		return t, fmt.Errorf("%w %s: the amount is missing", ErrTrade, t.TradeID)
	}
	for _, step := range t.Script {
		if err := step.Validate(); err != nil {
			return t, fmt.Errorf("%w %s: %w", ErrTrade, t.TradeID, err)
		}
	}
	if t.AuthorizedAt.IsZero() {
		t.AuthorizedAt = now
	}
	if t.ExpiresAt.IsZero() {
		t.ExpiresAt = t.AuthorizedAt.Add(capture.AuthorizationWindow)
	}
	if t.State == "" {
		t.State = capture.OrderAuthorized
	}
	return t, nil
}

// Step sets what happens in the next call of a trade. Capture and query calls have
// separate steps, each in order. The zero Step is a capture call without fault.
//
// In JSON a step may also be the name of a fault: "error_after".
type Step struct {
	// On is the kind of call; "" is the one of Fault, or capture without a Fault.
	On    Target `json:"on,omitempty"`
	Fault Fault  `json:"fault,omitempty"`
	// Code is the answer, without effect.
	Code string `json:"code,omitempty"`
	// State is what a query shows.
	State capture.OrderState `json:"state,omitempty"`
}

// UnmarshalJSON reads an object or the name of a fault.
func (s *Step) UnmarshalJSON(b []byte) error {
	type plain Step
	if len(b) > 0 && b[0] == '"' {
		*s = Step{}
		return json.Unmarshal(b, &s.Fault)
	}
	return json.Unmarshal(b, (*plain)(s))
}

// Validate returns an error for a step that cannot be followed.
func (s Step) Validate() error {
	on := s.target()
	knob, known := knobOf(s.Fault)
	switch {
	case on != OnCapture && on != OnQuery:
		return fmt.Errorf("step %q: only capture and query calls have steps", s.Fault)
	case s.Fault != NoFault && !known:
		return fmt.Errorf("step: unknown fault %q", s.Fault)
	case s.Fault != NoFault && knob.On != on:
		return fmt.Errorf("step: %s is a fault of a %s, not of a %s", s.Fault, knob.On, on)
	case s.Code != "" && (s.Fault != NoFault || s.State != ""):
		return errors.New("step: a code cannot be combined with a fault or state")
	case s.Code != "" && !errorCode.MatchString(s.Code):
		return fmt.Errorf("step: the code %q is not a negative integer", s.Code)
	case s.State != "" && on != OnQuery:
		return errors.New("step: only a query can have a state")
	}
	return nil
}

func (s Step) target() Target {
	if s.On != "" {
		return s.On
	}
	if knob, ok := knobOf(s.Fault); ok {
		return knob.On
	}
	if s.State != "" {
		return OnQuery
	}
	return OnCapture
}
