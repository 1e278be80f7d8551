package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
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
		a = plainUnknown(a, "HTTP %d, not a JSON object (%d bytes)", status, len(body))
	} else {
		a = e.answer(a, judge)
	}
	plainRedact(&a, exampleSecret, exampleSign)
	return a
}

func (e plainEnvelope) answer(a capture.Answer, judge func(capture.Answer, plainEnvelope) capture.Answer) capture.Answer {
	believed := envelope{httpStatus: e.httpStatus, status: e.status, code: e.code, conflict: e.conflict}
	a.Message, a.ResponseID = e.message, e.responseID
	if why := believed.doubt(); why != "" {
		if believed.counted() {
			a.Code = e.code
		}
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
	return missing
}

func (m plainMembers) shown(name string) string {
	text, raw := m.text(name), m[name]
	if text == "" && len(raw) > 0 && raw[0] != '"' && raw[0] != 'n' {
		return string(raw)
	}
	return text
}

// plainTwice finds the first decisive member that stands twice and differs.
func plainTwice(b []byte) string {
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return ""
	}
	first := map[string]string{}
	for dec.More() {
		name, err := dec.Token()
		var raw json.RawMessage
		if err != nil || dec.Decode(&raw) != nil {
			return ""
		}
		value, text := string(raw), ""
		if json.Unmarshal(raw, &text) == nil && raw[0] == '"' {
			value = strings.TrimSpace(text)
		}
		known, again := first[name.(string)]
		if again && known != value && slices.Contains(decisive[:], name.(string)) {
			return name.(string)
		}
		first[name.(string)] = value
	}
	return ""
}

type plainEnvelope struct {
	httpStatus int
	status     flag
	code       string
	message    string
	responseID string
	data       plainMembers // nil if data is no object
	conflict   string
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
	e.conflict = plainTwice(body)
	if e.conflict == "" && e.data != nil {
		e.conflict = plainTwice(m["data"])
		if e.conflict == "" && e.data.object("transaction_info") != nil {
			e.conflict = plainTwice(e.data["transaction_info"])
		}
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

// order reads the members of an order, those that other members repeat last.
func (m plainMembers) order(elsewhere plainMembers) *capture.Order {
	o := &capture.Order{TradeID: m.text("trade_id"), State: capture.ParseOrderState(m.text("state"))}
	amount, err := capture.ReadAmount(m.shown("amount"), m.shown("currency"))
	if err != nil {
		amount, o.AmountText = capture.Amount{}, strings.TrimSpace(m.shown("amount")+" "+m.shown("currency"))
	}
	o.Amount = amount
	levels := []plainMembers{m}
	if id := elsewhere.text("trade_id"); id == "" || strings.EqualFold(id, o.TradeID) {
		levels = append(levels, elsewhere)
	}
	find := func(names ...string) string {
		for _, level := range levels {
			for _, name := range names {
				if text := level.text(name); text != "" {
					return text
				}
			}
		}
		return ""
	}
	o.OrderID, o.TransactionID = find("order_id"), find("transaction_id")
	o.SettlementAmount, o.SettlementCurrency = find("settlement_amount"), find("settlement_currency")
	o.ExchangeRate, o.PaidTime, o.CreatedAt = find("exchange_rate"), find("paid_time"), find("created_at", "createDate")
	return o
}

func plainJudgeCapture(a capture.Answer, e plainEnvelope, r CaptureRequest) capture.Answer {
	if e.data == nil {
		return plainUnknown(a, "success without data")
	}
	order := e.data.order(e.data.object("transaction_info"))
	a.Order = order
	if !strings.EqualFold(order.TradeID, r.TradeID) {
		return plainUnknown(a, "answer about another trade: %s", order.TradeID)
	}
	switch order.State.Class() {
	case capture.OrderIsMoving:
		return plainUnknown(a, "accepted, not yet paid: %s", order.State)
	case capture.OrderIsDead:
		return plainRefused(a, "the capture ended as %s", order.State)
	case capture.OrderIsPaid:
		if order.Amount != r.Amount {
			return plainUnknown(a, "paid with another amount: %s %s, not %s",
				e.data.shown("amount"), e.data.shown("currency"), r.Amount)
		}
		a.Kind, a.Why = capture.AnswerDone, "paid"
		return a
	}
	return plainUnknown(a, "success with an unexpected state: %s", order.State)
}

func plainJudgeQuery(a capture.Answer, e plainEnvelope, tradeID string) capture.Answer {
	info := e.data.object("transaction_info")
	if info == nil {
		return plainUnknown(a, "success without transaction_info")
	}
	order := info.order(e.data)
	a.Order = order
	switch {
	case order.State == capture.OrderPaid && order.TradeID == "":
		order.Amount = capture.Amount{}
		order.AmountText = strings.TrimSpace(info.shown("amount") + " " + info.shown("currency") + ", no trade_id")
		a.Kind, a.Why = capture.AnswerDone, "the order is paid, without a readable trade_id"
	case !strings.EqualFold(order.TradeID, tradeID):
		return plainUnknown(a, "answer about another trade: %s", order.TradeID)
	case order.State == "":
		a.Order = nil
		return plainUnknown(a, "order without a state")
	case order.State == capture.OrderPaid && order.Amount.IsZero():
		a.Kind, a.Why = capture.AnswerDone, "the order is paid, with an unreadable amount: "+order.AmountText
	default:
		a.Kind, a.Why = capture.AnswerDone, "the order is "+string(order.State)
	}
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
	for _, s := range []*string{
		&o.OrderID, &o.SettlementAmount, &o.SettlementCurrency, &o.ExchangeRate, &o.TransactionID, &o.PaidTime, &o.CreatedAt, &o.AmountText,
	} {
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
		if name == "sign" {
			continue
		}
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
	switch {
	case json.Unmarshal(raw, &s) == nil:
		return s
	case raw[0] == '{' || raw[0] == '[':
		return "Array"
	}
	return string(raw)
}
