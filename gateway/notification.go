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
	// ErrNotification: the body is none of the forms, or says nothing usable.
	ErrNotification = errors.New("not a notification of the gateway")
	// ErrSignature: the form is right, and none of our keys signed it.
	ErrSignature = errors.New("the signature of the notification is not the gateway's")
)

// Notification is a change of state that the gateway announced, its signature
// verified. It is a reason to ask Order Query and no proof by itself: genuine
// ones come early, late, twice and out of order.
type Notification struct {
	Type          string // payment, refund
	User          string
	TradeID       string // capture.ValidTradeID holds; in the sender's letter case
	OrderID       string
	TransactionID string
	State         capture.OrderState
	Amount        capture.Amount // zero if none can be read
	AmountText    string         // what was sent then: amount and currency
	PaidTime      string         // Unix seconds, as they were sent
	// Rendering names the way of signing that verified it, one of [Renderings].
	// What it does not sign is read nowhere above.
	Rendering string
	// Key is the index of the secret that verified it.
	Key int
}

// ParseNotification reads the body of a POST to notify_url and verifies its
// signature with the first of the secrets that fits: pass the current and,
// while keys are being changed, the previous one. Empty secrets are skipped.
//
// It knows the forms that were seen: {"sign":…,"data":{…}}, the same URL-encoded
// after resultData= or without a name, and signature.{json of the data}. What is
// signed varies too; each of the [Renderings] is tried, and only what the one
// that fits has signed is read. The content type is not looked at, the size of
// the body is the caller's to bound.
//
// Errors wrap [ErrNotification] or [ErrSignature]; they hold nothing of the
// body. The reply to a notification that was kept is "ok" in plain text,
// anything else makes the gateway send it again.
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
		return Notification{}, fmt.Errorf("%w: a name or value in it could be read as several members", ErrNotification)
	}
	n := readNotification(signed)
	n.Key, n.Rendering = key, rendering
	if !capture.ValidTradeID(n.TradeID) {
		return Notification{}, fmt.Errorf("%w: it has no usable trade_id", ErrNotification)
	}
	return n, nil
}

const formPrefix = "resultData="

// signLength is the length of a signature in hex.
const signLength = 64

// decodeForm takes the URL encoding off a body: the value of resultData, or the
// whole without a name.
func decodeForm(body []byte) ([]byte, error) {
	form, named := bytes.CutPrefix(body, []byte(formPrefix))
	switch {
	case named:
		form, _, _ = bytes.Cut(form, []byte("&"))
	case bytes.IndexByte(body, '{') >= 0, bytes.IndexByte(body, '%') < 0:
		return body, nil
	default:
		// Whoever takes the body for a name writes the = of its empty value.
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

// notified are the members that we read.
var notified = []string{"type", "user", "order_id", "trade_id", "transaction_id", "amount", "currency", "state", "paid_time"}

// readNotification reads what the signature covers.
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
