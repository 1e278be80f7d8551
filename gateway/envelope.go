package gateway

import (
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

// envelope is what surrounds every answer of the gateway. Its data may be
// missing, null, [] or a string where the call failed.
type envelope struct {
	httpStatus int
	status     flag
	code       string
	message    string
	responseID string
	hasData    bool // data is an object
}

// readEnvelope reads an answer, and what is in its data.
func readEnvelope(body []byte, httpStatus int, r *reading) (envelope, error) {
	m, data := &r.whole, &r.data
	if err := m.read(body); err != nil {
		return envelope{}, err
	}
	e := envelope{
		httpStatus: httpStatus,
		status:     m.flag("status"),
		code:       strings.TrimSpace(m.text("code")),
		message:    m.text("message"),
		responseID: m.text("response_id"),
		hasData:    m.object("data", data),
	}
	// Printed examples leave open on which level these two are.
	if e.responseID == "" {
		e.responseID = data.text("response_id")
	}
	if e.message == "" {
		e.message = data.text("message")
	}
	if e.message == "" && e.status == no {
		e.message = m.text("data")
	}
	return e, nil
}

// order reads what an answer says of an order. Its amount is zero where none
// can be read.
func (m *members) order() *capture.Order {
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
