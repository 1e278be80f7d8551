package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"

	"github.com/capture-worker/capture-worker/capture"
)

// The errors of [ParseNotification].
var (
	// ErrNotification means that the body has none of the known forms, or no usable
	// trade_id.
	ErrNotification = errors.New("not a notification of the gateway")
	// ErrSignature means that the form is known, but none of the secrets made the
	// signature.
	ErrSignature = errors.New("the notification is not signed with a known key")
)

// Notification is a verified notification of a change of state. It is a reason to ask
// Order Query, not a proof: genuine ones arrive early, late, twice and out of order.
type Notification struct {
	Type          string // payment or refund
	User          string
	TradeID       string // valid, in the sender's letter case
	OrderID       string
	TransactionID string
	State         capture.OrderState
	Amount        capture.Amount // zero if it is missing or cannot be read
	AmountText    string         // amount and currency as they were sent, if they cannot be read
	PaidTime      string         // Unix seconds, as sent
	// Rendering is the way of signing that matched, one of [Renderings]. The fields
	// above have only values that it signs.
	Rendering string
	// Key is the index of the secret that matched.
	Key int
}

// ParseNotification reads the body of a POST to notify_url and verifies its signature
// with each of the secrets: pass the current key and, during a key rotation, the
// previous one. Empty secrets are skipped.
//
// It reads the known forms: {"sign":…,"data":{…}}; the same URL-encoded, after
// resultData= or without a name; and signature.{json of the data}. What is signed
// varies too: each of the [Renderings] is tried, and only values that the matching one
// signs are read. The content type is ignored. The caller must limit the size of the
// body.
//
// Errors wrap [ErrNotification] or [ErrSignature], and contain nothing of the body.
// The answer to a notification that was stored must be "ok" in plain text; anything
// else makes the gateway send it again.
func ParseNotification(body []byte, secrets ...Secret) (Notification, error) {
	sign, data, err := splitNotification(bytes.TrimSpace(body))
	if err != nil {
		return Notification{}, fmt.Errorf("%w: %w", ErrNotification, err)
	}
	signed, rendering, key := verify(sign, data, secrets)
	if key < 0 {
		return Notification{}, ErrSignature
	}
	if signed.ambiguous() {
		return Notification{}, fmt.Errorf("%w: a name or value in it could be read as more than one member", ErrNotification)
	}
	n := readNotification(signed)
	n.Key, n.Rendering = key, rendering
	if !capture.ValidTradeID(n.TradeID) {
		return Notification{}, fmt.Errorf("%w: the trade_id is missing or invalid", ErrNotification)
	}
	return n, nil
}

const formPrefix = "resultData="

// signLength is the length of a signature in hex.
const signLength = 64

// decodeForm removes the URL encoding of a body: of the value of resultData, or of the
// whole body.
func decodeForm(body []byte) ([]byte, error) {
	form, named := bytes.CutPrefix(body, []byte(formPrefix))
	switch {
	case named:
		form, _, _ = bytes.Cut(form, []byte("&"))
	case bytes.IndexByte(body, '{') >= 0, bytes.IndexByte(body, '%') < 0:
		return body, nil
	default:
		// An encoder that takes the body for a name appends the = of an empty value.
		form = bytes.TrimSuffix(form, []byte("="))
	}
	decoded, err := url.QueryUnescape(string(form))
	if err != nil {
		return nil, errors.New("it is not URL-encoded") // the error would quote the body
	}
	return []byte(decoded), nil
}

func splitNotification(body []byte) (sign string, data *members, err error) {
	if body, err = decodeForm(body); err != nil {
		return "", nil, err
	}
	data, found := new(members), true
	if len(body) > signLength && body[signLength] == '.' && body[0] != '{' {
		sign = string(body[:signLength])
		err = data.read(body[signLength+1:])
	} else {
		var whole members
		err = whole.read(body)
		sign, found = whole.text("sign"), whole.object("data", data)
	}
	switch {
	case err != nil:
		return "", nil, errNotObject
	case sign == "":
		return "", nil, errors.New("it has no sign")
	case !found:
		return "", nil, errors.New("it has no data object")
	}
	return sign, data, nil
}

// notified are the members that are read.
var notified = []string{"type", "user", "order_id", "trade_id", "transaction_id", "amount", "currency", "state", "paid_time"}

// readNotification reads the signed members.
func readNotification(signed signedMembers) Notification {
	field := func(name string) string {
		return cleanText(hideRuns(signed.evidence(name), signatures, signLength), maxField)
	}
	state := capture.ParseOrderState(signed.evidence("state"))
	n := Notification{
		Type:          field("type"),
		User:          field("user"),
		TradeID:       field("trade_id"),
		OrderID:       field("order_id"),
		TransactionID: field("transaction_id"),
		PaidTime:      field("paid_time"),
		State:         capture.OrderState(cleanText(hideRuns(string(state), cutSignatures, cutLength), maxCode)),
	}
	n.Amount, n.AmountText = readAmount(signed.evidence("amount"), signed.evidence("currency"))
	n.AmountText = cleanText(hideRuns(n.AmountText, signatures, signLength), maxField)
	return n
}
