package capture

import (
	"encoding/json"
	"strings"
	"time"
)

// AuthorizationWindow is how long the gateway keeps an authorization open for
// its capture, from the vendor's page of v3.Capture.
const AuthorizationWindow = 30 * 24 * time.Hour

// Job asks for one capture of one trade.
type Job struct {
	TradeID string // the gateway's name of the authorization
	Amount  Amount // the sum to capture
	// The rest is optional.
	OrderID          string    // the shop's own name of the order
	Description      string    // sent to the gateway
	NotifyURL        string    // where the gateway reports changes of state
	AuthorizedAmount Amount    // what was authorized, in the same currency
	AuthorizedAt     time.Time // when
	CaptureBefore    time.Time // no capture call is made from then on
	// CaptureID is the shop's own id of this capture, such as that of a parcel. A job
	// with another one requests another capture, whatever its amount.
	CaptureID string
	// Cleaned lists the fields whose text was changed when the job was read,
	// separated by commas: characters that cannot be printed were removed, a long
	// description was cut.
	Cleaned string
}

// Deadline returns the moment from which no capture call is made: the earlier of
// CaptureBefore and AuthorizedAt plus the gateway's window (Policy.Window). It is
// the zero time if the job has neither; see also State.Deadline.
func (j Job) Deadline(window time.Duration) time.Time {
	var end time.Time
	if !j.AuthorizedAt.IsZero() {
		end = j.AuthorizedAt.Add(window)
	}
	switch {
	case j.CaptureBefore.IsZero():
		return end
	case end.IsZero() || j.CaptureBefore.Before(end):
		return j.CaptureBefore
	}
	return end
}

// TradeKey returns the spelling of a trade_id in the ledger: a trade_id in the form
// of a UUID is one trade in any letter case (rule 7), so it is written in lower
// case; any other trade_id is unchanged. The gateway gets the job's spelling.
func TradeKey(tradeID string) string {
	if !uuidForm(tradeID) {
		return tradeID
	}
	return strings.ToLower(tradeID)
}

func uuidForm(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return true
}

// SameTrade reports whether two trade_ids name one trade.
func SameTrade(a, b string) bool { return a == b || TradeKey(a) == TradeKey(b) }

// jobJSON is the JSON form of a job, in messages and in the ledger.
type jobJSON struct {
	TradeID          string    `json:"trade_id"`
	Amount           string    `json:"amount"`
	Currency         string    `json:"currency"`
	OrderID          string    `json:"order_id,omitempty"`
	Description      string    `json:"description,omitempty"`
	AuthorizedAt     time.Time `json:"authorized_at,omitzero"`
	AuthorizedAmount string    `json:"authorized_amount,omitempty"`
	CaptureBefore    time.Time `json:"capture_before,omitzero"`
	NotifyURL        string    `json:"notify_url,omitempty"`
	CaptureID        string    `json:"capture_id,omitempty"`
	Cleaned          string    `json:"cleaned,omitempty"`
}

// MarshalJSON writes the job in the message format that is read without a mapping.
func (j Job) MarshalJSON() ([]byte, error) {
	return json.Marshal(jobJSON{
		TradeID: j.TradeID, Amount: j.Amount.Number(), Currency: j.Amount.Currency(),
		OrderID: j.OrderID, Description: j.Description, AuthorizedAt: j.AuthorizedAt,
		AuthorizedAmount: j.AuthorizedAmount.Number(), CaptureBefore: j.CaptureBefore,
		NotifyURL: j.NotifyURL, CaptureID: j.CaptureID, Cleaned: j.Cleaned,
	})
}

// UnmarshalJSON reads a job that MarshalJSON wrote, as the ledger does. It does not
// check an untrusted job: use Decoder.
func (j *Job) UnmarshalJSON(b []byte) error {
	var w jobJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	amount, err := ReadAmount(w.Amount, w.Currency)
	if err != nil {
		return err
	}
	var authorized Amount
	if w.AuthorizedAmount != "" {
		if authorized, err = ReadAmount(w.AuthorizedAmount, w.Currency); err != nil {
			return err
		}
	}
	*j = Job{
		TradeID: w.TradeID, Amount: amount, OrderID: w.OrderID, Description: w.Description,
		NotifyURL: w.NotifyURL, AuthorizedAmount: authorized, AuthorizedAt: w.AuthorizedAt,
		CaptureBefore: w.CaptureBefore, CaptureID: w.CaptureID, Cleaned: w.Cleaned,
	}
	return nil
}
