package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Truth is the gateway's state of a trade, in the JSON form of the simulator's
// GET /_sim/trades/{trade_id}. Other members are ignored.
type Truth struct {
	TradeID  string             `json:"trade_id"`
	State    capture.OrderState `json:"state"`
	Captures []Capture          `json:"captures"`
}

// Capture is one capture that took effect.
type Capture struct {
	Amount    capture.Amount
	RequestID string
	At        time.Time
}

type captureJSON struct {
	Amount    string    `json:"amount"`
	Currency  string    `json:"currency"`
	RequestID string    `json:"request_id"`
	At        time.Time `json:"at"`
}

// MarshalJSON writes amount and currency as two members, like the simulator.
func (c Capture) MarshalJSON() ([]byte, error) {
	return json.Marshal(captureJSON{c.Amount.Number(), c.Amount.Currency(), c.RequestID, c.At})
}

// UnmarshalJSON reads what MarshalJSON writes. An error about the amount wraps
// capture.ErrAmount.
func (c *Capture) UnmarshalJSON(b []byte) error {
	var w captureJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("reading a capture of the gateway: %w", err)
	}
	amount, err := capture.ReadAmount(w.Amount, w.Currency)
	if err != nil {
		return fmt.Errorf("reading a capture of the gateway: %w", err)
	}
	*c = Capture{Amount: amount, RequestID: w.RequestID, At: w.At}
	return nil
}

// Compare checks the events of one trade against the gateway's truth: at most one capture
// took effect, the ledger announced it, captured has its amount, and a failed trade was
// not paid. A parked trade agrees with any truth. A trade without an outcome is reported
// as [Unsettled].
//
// job, if not nil, is the only job of the trade: the captured amount must be its amount.
func Compare(events []capture.Event, truth Truth, job *capture.Job) []Violation {
	c := comparison{truth: truth, events: events}
	c.captures()
	c.outcome()
	if job != nil {
		c.job(*job)
	}
	return c.found
}

type comparison struct {
	truth  Truth
	events []capture.Event
	found  []Violation
}

func (c *comparison) add(rule, event, format string, args ...any) {
	c.found = append(c.found, Violation{
		TradeID: c.truth.TradeID, Rule: rule, EventID: event, Detail: fmt.Sprintf(format, args...),
	})
}

// captures checks that there is at most one capture, and that it was announced.
func (c *comparison) captures() {
	if n := len(c.truth.Captures); n > 1 {
		c.add("3", "", "captured %d times at the gateway", n)
	}
	for _, took := range c.truth.Captures {
		announced := func(e capture.Event) bool {
			return e.Type == capture.Attempted && e.RequestID == took.RequestID && e.Job != nil && e.Job.Amount == took.Amount
		}
		if !slices.ContainsFunc(c.events, announced) {
			c.add("1", "", "the gateway captured %s by request %s, which the ledger does not announce", took.Amount, took.RequestID)
		}
	}
}

func (c *comparison) outcome() {
	last := Standing(c.events)
	switch {
	case last == nil:
		c.add(Unsettled, "", "no outcome; the gateway reports %s and %d captures", c.truth.State, len(c.truth.Captures))
	case last.Type == capture.Captured && len(c.truth.Captures) == 0:
		if c.truth.State == capture.OrderPaid {
			return // paid before the simulator's record begins
		}
		c.add(TruthDiffers, last.ID, "captured in the ledger, not at the gateway (%s)", c.truth.State)
	case last.Type == capture.Captured && last.Sum() != c.truth.Captures[0].Amount:
		c.add("6", last.ID, "captured %s in the ledger, %s at the gateway", last.Sum(), c.truth.Captures[0].Amount)
	case last.Type == capture.Failed && (len(c.truth.Captures) > 0 || c.truth.State == capture.OrderPaid):
		c.add("5", last.ID, "failed (%s) in the ledger, but the gateway reports %s and %d captures",
			last.Reason, c.truth.State, len(c.truth.Captures))
	}
}

func (c *comparison) job(job capture.Job) {
	last := Standing(c.events)
	if last != nil && last.Type == capture.Captured && last.Sum() != job.Amount {
		c.add("6", last.ID, "captured %s, but the job asks for %s", last.Sum(), job.Amount)
	}
}

// Standing returns the current outcome of a trade: the last one, or nil if an operator
// sent the trade back or a new attempt was made after it.
func Standing(events []capture.Event) *capture.Event {
	for _, e := range slices.Backward(events) {
		switch {
		case e.Type.Outcome():
			return &e
		case e.Type == capture.Released || e.Type == capture.Retried || e.Type == capture.Attempted:
			return nil
		}
	}
	return nil
}
