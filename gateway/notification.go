package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

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
	TradeID       string // capture.ValidTradeID holds
	OrderID       string
	TransactionID string
	State         capture.OrderState
	Amount        capture.Amount // zero where none can be read
	// Key is the index of the secret that verified it.
	Key int
}

// ParseNotification reads the body of a POST to notify_url and verifies its
// signature with the first of the secrets that fits: pass the current and,
// while keys are being changed, the previous one. Empty secrets are skipped.
//
// It knows the three forms that were seen: {"sign":…,"data":{…}}, the same
// URL-encoded after resultData=, and signature.{json of the data}. The content
// type is not looked at, the size of the body is the caller's to bound.
//
// Errors wrap [ErrNotification] or [ErrSignature]; they hold nothing of the
// body. The reply to a notification that was kept is "ok" in plain text,
// anything else makes the gateway send it again.
func ParseNotification(body []byte, secrets ...Secret) (Notification, error) {
	sign, data, err := splitNotification(bytes.TrimSpace(body))
	if err != nil {
		return Notification{}, fmt.Errorf("%w: %w", ErrNotification, err)
	}
	params := signedMembers(data)
	key := slices.IndexFunc(secrets, func(s Secret) bool {
		return s != "" && signedBy(s, sign, params)
	})
	if key < 0 {
		return Notification{}, ErrSignature
	}
	if ambiguous(params) {
		return Notification{}, fmt.Errorf("%w: a name or value in it could be read as several members", ErrNotification)
	}
	n := readNotification(data)
	n.Key = key
	if !capture.ValidTradeID(n.TradeID) {
		return Notification{}, fmt.Errorf("%w: it has no usable trade_id", ErrNotification)
	}
	return n, nil
}

const formPrefix = "resultData="

// signLength is the length of a signature in hex.
const signLength = 64

func splitNotification(body []byte) (sign string, data *members, err error) {
	if form, ok := bytes.CutPrefix(body, []byte(formPrefix)); ok {
		form, _, _ = bytes.Cut(form, []byte("&"))
		// The error would quote the body.
		decoded, err := url.QueryUnescape(string(form))
		if err != nil {
			return "", nil, errors.New("resultData is not URL-encoded")
		}
		body = []byte(decoded)
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

// signedMembers renders the members of data as they are signed. All that were
// seen are strings; the rest is rendered as PHP would join it (unverified).
func signedMembers(data *members) map[string]string {
	params := make(map[string]string, data.count)
	for name, value := range data.all() {
		params[name] = signedValue(value)
	}
	return params
}

func signedValue(raw []byte) string {
	switch raw[0] {
	case 'n', 'f': // null, false
		return ""
	case 't':
		return "1"
	case '"':
		return string(unquote(raw))
	}
	return string(raw)
}

// notified are the members that we read.
var notified = []string{"type", "user", "order_id", "trade_id", "transaction_id", "amount", "currency", "state"}

// ambiguous reports that a value holds &name= of a member that we read, or a
// name holds & or =. The signed string is joined raw, so that whoever chooses a
// description could otherwise have it read as members of its own, and the true
// ones as part of a made-up one.
func ambiguous(params map[string]string) bool {
	for name, value := range params {
		if strings.ContainsAny(name, "&=") {
			return true
		}
		if strings.Contains(value, "&") && slices.ContainsFunc(notified, func(member string) bool {
			return strings.Contains(value, "&"+member+"=")
		}) {
			return true
		}
	}
	return false
}

func readNotification(data *members) Notification {
	order := data.order()
	field := func(name string) string {
		return cleanText(hideRuns(data.text(name), signatures, signLength), maxField)
	}
	return Notification{
		Type:          field("type"),
		User:          field("user"),
		TradeID:       field("trade_id"),
		OrderID:       field("order_id"),
		TransactionID: field("transaction_id"),
		State:         capture.OrderState(cleanText(hideRuns(string(order.State), cutSignatures, cutLength), maxCode)),
		Amount:        order.Amount,
	}
}
