package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

// members is a JSON object, read by exact name. encoding/json's structs match
// names in any letter case, so that "STATE" would override "state".
type members map[string]json.RawMessage

var errNotObject = errors.New("not a JSON object")

// readObject reads exactly one JSON object. PHP files saved with a byte order
// mark print it before every answer, so one is skipped.
func readObject(b []byte) (members, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	var m members
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotObject, err)
	}
	if m == nil {
		return nil, errNotObject
	}
	return m, nil
}

// text returns a string, or a number as it is written, "" for all else.
func (m members) text(name string) string {
	raw := m[name]
	if len(raw) == 0 {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
	case c == '-' || c >= '0' && c <= '9':
		return string(raw)
	}
	return ""
}

// object returns a member that is an object, nil where it is not.
func (m members) object(name string) members {
	o, err := readObject(m[name])
	if err != nil {
		return nil
	}
	return o
}

// flag is a truth value that may not have been said.
type flag int

const (
	unsaid flag = iota
	yes
	no
)

func (m members) flag(name string) flag {
	switch strings.ToLower(strings.Trim(string(m[name]), `"`)) {
	case "true", "1":
		return yes
	case "false", "0":
		return no
	}
	return unsaid
}

// envelope is what surrounds every answer of the gateway. Its data may be
// missing, null, [] or a string where the call failed.
type envelope struct {
	httpStatus int
	status     flag
	code       string
	message    string
	responseID string
	data       members // nil where data is no object
}

func readEnvelope(body []byte, httpStatus int) (envelope, error) {
	m, err := readObject(body)
	if err != nil {
		return envelope{}, err
	}
	e := envelope{
		httpStatus: httpStatus,
		status:     m.flag("status"),
		code:       strings.TrimSpace(m.text("code")),
		message:    m.text("message"),
		responseID: m.text("response_id"),
		data:       m.object("data"),
	}
	// Printed examples leave open on which level these two are.
	if e.responseID == "" {
		e.responseID = e.data.text("response_id")
	}
	if e.message == "" {
		e.message = e.data.text("message")
	}
	if e.message == "" && e.status == no {
		e.message = m.text("data")
	}
	return e, nil
}

// order reads what an answer says of an order. Its amount is zero where none
// can be read.
func (m members) order() *capture.Order {
	amount, err := capture.ReadAmount(m.text("amount"), m.text("currency"))
	if err != nil {
		amount = capture.Amount{}
	}
	return &capture.Order{
		TradeID:            m.text("trade_id"),
		OrderID:            m.text("order_id"),
		State:              capture.ParseOrderState(m.text("state")),
		Amount:             amount,
		SettlementAmount:   m.text("settlement_amount"),
		SettlementCurrency: m.text("settlement_currency"),
		ExchangeRate:       m.text("exchange_rate"),
		TransactionID:      m.text("transaction_id"),
		PaidTime:           m.text("paid_time"),
	}
}
