package gateway

import (
	"cmp"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

// envelope is the outer object of every answer. In a failed call its data may be
// missing, null, [] or a string.
type envelope struct {
	httpStatus int
	status     flag
	code       string
	message    string
	responseID string
	hasData    bool // data is an object
	hasInfo    bool // data has transaction_info, an object
	// conflict is the name of a member that occurs twice with different values.
	conflict string
}

// readEnvelope reads an answer and its data.
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
	e.hasInfo = data.object("transaction_info", &r.order)
	e.conflict = cmp.Or(m.conflict(), data.conflict(), r.order.conflict())
	// The published examples differ in the level of these two.
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

// order reads the order in an answer. If its amount cannot be read, it is zero and
// AmountText is the text.
func (m *members) order() *capture.Order {
	o := &capture.Order{
		TradeID:            m.text("trade_id"),
		OrderID:            m.text("order_id"),
		State:              capture.ParseOrderState(m.text("state")),
		SettlementAmount:   m.text("settlement_amount"),
		SettlementCurrency: m.text("settlement_currency"),
		ExchangeRate:       m.text("exchange_rate"),
		TransactionID:      m.text("transaction_id"),
		PaidTime:           m.text("paid_time"),
		CreatedAt:          cmp.Or(m.text("created_at"), m.text("createDate")),
	}
	o.Amount, o.AmountText = readAmount(m.shown("amount"), m.shown("currency"))
	return o
}

// readAmount returns the amount, or its text if it cannot be read.
func readAmount(number, code string) (capture.Amount, string) {
	amount, err := capture.ReadAmount(number, code)
	if err == nil {
		return amount, ""
	}
	return capture.Amount{}, strings.TrimSpace(number + " " + code)
}

// addFrom fills in missing members of the same order from another level of the
// answer: the published examples differ in the level of each member.
func (m *members) addFrom(o *capture.Order) {
	if id := m.text("trade_id"); id != "" && !capture.SameTrade(id, o.TradeID) {
		return
	}
	add := func(to *string, name string) {
		if *to == "" {
			*to = m.text(name)
		}
	}
	add(&o.OrderID, "order_id")
	add(&o.SettlementAmount, "settlement_amount")
	add(&o.SettlementCurrency, "settlement_currency")
	add(&o.ExchangeRate, "exchange_rate")
	add(&o.TransactionID, "transaction_id")
	add(&o.PaidTime, "paid_time")
	add(&o.CreatedAt, "created_at")
	add(&o.CreatedAt, "createDate")
}
