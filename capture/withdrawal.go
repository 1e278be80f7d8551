package capture

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Withdrawal says that a trade, or every trade of an order, is not to be captured
// any more. If both are named the trade counts, and the order has to be its own.
type Withdrawal struct {
	TradeID string
	OrderID string
	Reason  string // why, for the ledger; may be empty
	By      string // who, for the ledger; may be empty
}

// maxReason limits the texts of a withdrawal, which stand in the ledger.
const maxReason = 500

// WithdrawalHeader marks a message that has our own shape of a withdrawal whatever
// the mapping is: `capture-worker withdraw` wrote it. Its value identifies the
// withdrawal.
const WithdrawalHeader = "Capture-Withdrawal"

// WithdrawalFields lists the names of a withdrawal's fields, as they stand on the
// wire and in Mapping.Fields. At least one of the first two is required.
func WithdrawalFields() []string { return withdrawalShape.names() }

// WithdrawalDecoder reads withdrawals from messages. It is safe for concurrent use.
type WithdrawalDecoder struct{ mapped, own *Decoder }

// NewWithdrawalDecoder returns a decoder for messages of the shape that m
// describes. Its fields are those of WithdrawalFields; one that is not listed is
// not read once any is. Errors wrap ErrMapping and say what is wrong with which
// entry.
func NewWithdrawalDecoder(m Mapping) (*WithdrawalDecoder, error) {
	mapped, err := newWithdrawalDecoder(m)
	if err != nil {
		return nil, err
	}
	own, err := newWithdrawalDecoder(Mapping{})
	return &WithdrawalDecoder{mapped, own}, err
}

func newWithdrawalDecoder(m Mapping) (*Decoder, error) {
	match, err := compileMatch(withdrawalShape.section, m.Match)
	if err != nil {
		return nil, err
	}
	fields, err := withdrawalShape.compile(m.Fields)
	if err != nil {
		return nil, err
	}
	return &Decoder{fields: fields, match: match, envelope: envelopeNode(match.attributes)}, nil
}

// of returns the decoder for a message with this header.
func (d *WithdrawalDecoder) of(header map[string][]string) *Decoder {
	if _, own, err := headerValue(header, strings.ToLower(WithdrawalHeader)); own && err == nil {
		return d.own
	}
	return d.mapped
}

// Decode reads a withdrawal from a message, as Decoder.Decode reads a job: plain
// JSON or a CloudEvent, with the same errors. What cannot be printed is left out of
// the texts, and a reason that is too long is cut.
func (d *WithdrawalDecoder) Decode(header map[string][]string, body []byte) (Withdrawal, error) {
	r := jobReader{d: d.of(header)}
	obj, err := r.d.unwrap(header, body)
	if err != nil {
		return Withdrawal{}, err
	}
	doc := document{raw: obj}
	if err := r.d.match.takesData(&doc); err != nil {
		return Withdrawal{}, err
	}
	if err := r.find(&doc); err != nil {
		return Withdrawal{}, err
	}
	w := r.withdrawal()
	return w, r.err
}

func (r *jobReader) withdrawal() Withdrawal {
	w := Withdrawal{TradeID: r.optional(fieldTradeID)}
	if w.TradeID != "" {
		w.TradeID = r.tradeID(w.TradeID)
	}
	w.OrderID, _ = r.name(fieldOrderID)
	w.By, _ = r.name(fieldBy)
	w.Reason = shortened(cleaned(r.optional(fieldReason)), maxReason)
	if r.err == nil && w.TradeID == "" && w.OrderID == "" {
		r.err = malformed(MalformedMissing, "", fmt.Sprintf("neither %s nor %s is there; one of them says what is withdrawn",
			r.called(fieldTradeID), r.called(fieldOrderID)))
	}
	if r.err != nil {
		return Withdrawal{}
	}
	return w
}

// called is the path of a field for an error about its absence: its own name if the
// mapping does not read it.
func (r *jobReader) called(field int) string {
	if path := r.path(field); path != "" {
		return path
	}
	return fieldNames[field]
}

// Hint returns the trade and the order that a message seems to be about, as
// Decoder.Hint does for jobs.
func (d *WithdrawalDecoder) Hint(header map[string][]string, body []byte) (tradeID, orderID string) {
	return d.of(header).Hint(header, body)
}

// MarshalJSON writes the withdrawal in our own shape.
func (w Withdrawal) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		TradeID string `json:"trade_id,omitempty"`
		OrderID string `json:"order_id,omitempty"`
		Reason  string `json:"reason,omitempty"`
		By      string `json:"by,omitempty"`
	}{w.TradeID, w.OrderID, w.Reason, w.By})
}
