package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
)

// What follows reads answers in the plain way: encoding/json's maps, regular
// expressions and a strings.Replacer for every text. It is what the reader of
// answers and the redaction are held to.

// PlainCapture and PlainQuery are what ReadCapture and ReadQuery are held to.
func PlainCapture(status int, body []byte, r CaptureRequest) capture.Answer {
	return plainRead(status, body, func(a capture.Answer, e plainEnvelope) capture.Answer { return plainJudgeCapture(a, e, r) })
}

func PlainQuery(status int, body []byte, tradeID string) capture.Answer {
	return plainRead(status, body, func(a capture.Answer, e plainEnvelope) capture.Answer { return plainJudgeQuery(a, e, tradeID) })
}

func plainRead(status int, body []byte, judge func(capture.Answer, plainEnvelope) capture.Answer) capture.Answer {
	a := capture.Answer{HTTPStatus: status}
	for _, s := range []string{exampleSign, strings.ToUpper(exampleSign)} {
		body = bytes.ReplaceAll(body, []byte(s), []byte(hidden))
	}
	if e, ok := plainReadEnvelope(body, status); !ok {
		a = plainUnknown(a, "HTTP %d, not the gateway's JSON (%d bytes)", status, len(body))
	} else {
		a = e.answer(a, judge)
	}
	plainRedact(&a, exampleSecret, exampleSign)
	return a
}

func (e plainEnvelope) answer(a capture.Answer, judge func(capture.Answer, plainEnvelope) capture.Answer) capture.Answer {
	believed := envelope{httpStatus: e.httpStatus, status: e.status, code: e.code}
	a.Message, a.ResponseID = e.message, e.responseID
	if why := believed.doubt(); why != "" {
		return plainUnknown(a, "HTTP %d: %s", e.httpStatus, why)
	}
	a.Code = e.code
	if e.code == capture.CodeSuccess {
		return judge(a, e)
	}
	believed.judge(&a, &question{}, &reading{})
	return a
}

func plainUnknown(a capture.Answer, format string, args ...any) capture.Answer {
	a.Kind, a.Why = capture.AnswerUnknown, fmt.Sprintf(format, args...)
	return a
}

func plainRefused(a capture.Answer, format string, args ...any) capture.Answer {
	a.Kind, a.Why = capture.AnswerRefused, fmt.Sprintf(format, args...)
	return a
}

type plainMembers map[string]json.RawMessage

func plainObject(b []byte) (plainMembers, bool) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	var m plainMembers
	err := json.Unmarshal(b, &m)
	return m, err == nil && m != nil
}

func (m plainMembers) text(name string) string {
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

func (m plainMembers) object(name string) plainMembers {
	if o, ok := plainObject(m[name]); ok {
		return o
	}
	return nil
}

func (m plainMembers) flag(name string) flag {
	switch strings.ToLower(strings.Trim(string(m[name]), `"`)) {
	case "true", "1":
		return yes
	case "false", "0":
		return no
	}
	return unsaid
}

type plainEnvelope struct {
	httpStatus int
	status     flag
	code       string
	message    string
	responseID string
	data       plainMembers // nil where data is no object
}

func plainReadEnvelope(body []byte, httpStatus int) (plainEnvelope, bool) {
	m, ok := plainObject(body)
	if !ok {
		return plainEnvelope{}, false
	}
	e := plainEnvelope{
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
	return e, true
}

func (m plainMembers) order() *capture.Order {
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

func plainJudgeCapture(a capture.Answer, e plainEnvelope, r CaptureRequest) capture.Answer {
	if e.data == nil {
		return plainUnknown(a, "a success without data")
	}
	order := e.data.order()
	a.Order = order
	if order.TradeID != r.TradeID {
		return plainUnknown(a, "an answer about another trade: %s", order.TradeID)
	}
	switch order.State.Class() {
	case capture.OrderIsMoving:
		return plainUnknown(a, "accepted, not yet paid: %s", order.State)
	case capture.OrderIsDead:
		return plainRefused(a, "the capture ended as %s", order.State)
	case capture.OrderIsPaid:
		if order.Amount != r.Amount {
			return plainUnknown(a, "paid with another amount: %s %s, not %s",
				e.data.text("amount"), e.data.text("currency"), r.Amount)
		}
		a.Kind, a.Why = capture.AnswerDone, "paid"
		return a
	}
	return plainUnknown(a, "a success in a state that is none of a capture: %s", order.State)
}

func plainJudgeQuery(a capture.Answer, e plainEnvelope, tradeID string) capture.Answer {
	info := e.data.object("transaction_info")
	if info == nil {
		return plainUnknown(a, "a success without transaction_info")
	}
	order := info.order()
	switch {
	case order.TradeID != tradeID:
		return plainUnknown(a, "an answer about another trade: %s", order.TradeID)
	case order.State == "":
		return plainUnknown(a, "an order without a state")
	case order.State == capture.OrderPaid && order.Amount.IsZero():
		a.Order = order
		return plainUnknown(a, "paid, with an amount that cannot be read: %s %s", info.text("amount"), info.text("currency"))
	}
	a.Order = order
	a.Kind, a.Why = capture.AnswerDone, "the order is "+string(order.State)
	return a
}

func plainRedact(a *capture.Answer, secret, sign string) {
	hide := strings.NewReplacer(secret, hidden, sign, hidden, strings.ToUpper(sign), hidden)
	clean := func(s *string, limit int) {
		*s = plainClean(signatures.ReplaceAllString(hide.Replace(*s), hidden), limit)
	}
	clean(&a.Message, maxMessage)
	a.Why = cutSignatures.ReplaceAllString(hide.Replace(a.Why), hidden)
	clean(&a.Why, maxWhy)
	clean(&a.ResponseID, maxField)
	if a.Code != capture.CodeSuccess && a.Code != capture.CodeInternal && refusals[a.Code] == "" {
		clean(&a.Code, maxCode)
	}
	if a.Order == nil {
		return
	}
	o := *a.Order
	for _, s := range []*string{&o.OrderID, &o.SettlementAmount, &o.SettlementCurrency, &o.ExchangeRate, &o.TransactionID, &o.PaidTime} {
		clean(s, maxField)
	}
	if a.Kind == capture.AnswerUnknown {
		clean(&o.TradeID, maxField)
	}
	if o.State.Class() == capture.OrderIsUnclear {
		state := cutSignatures.ReplaceAllString(string(o.State), hidden)
		clean(&state, maxCode)
		o.State = capture.OrderState(state)
	}
	a.Order = &o
}

func plainClean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > limit {
		end := limit
		for !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.TrimSpace(s)
}

// PlainSigned is what SignedMembers is held to.
func PlainSigned(b []byte) map[string]string {
	data, ok := plainObject(b)
	if !ok {
		return nil
	}
	params := make(map[string]string, len(data))
	for name, raw := range data {
		switch string(raw) {
		case "null", "false":
			params[name] = ""
		case "true":
			params[name] = "1"
		default:
			params[name] = plainScalar(raw)
		}
	}
	return params
}

func plainScalar(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
