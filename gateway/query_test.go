package gateway_test

import (
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

func order(members string) string { return success(`{"transaction_info":{` + members + `}}`) }

func seen(state string) string {
	return order(`"trade_id":"` + trade + `","order_id":"2350","amount":"30","currency":"EUR","state":"` + state + `"`)
}

var queryCases = []answerCase{
	{"authorized", 200, seen("authorized"), capture.AnswerDone, "200", "the order is authorized"},
	{"paid", 200, seen("Paid"), capture.AnswerDone, "200", "the order is paid"},
	{"refunded", 200, seen("refunded"), capture.AnswerDone, "200", "refunded"},
	{"a new word", 200, seen("on_hold"), capture.AnswerDone, "200", "on_hold"},
	{"paid, no amount", 200, order(`"trade_id":"` + trade + `","state":"paid"`), capture.AnswerDone, "200", "unreadable amount"},
	{"paid, odd amount", 200, strings.Replace(seen("paid"), `"30"`, `"30,00"`, 1), capture.AnswerDone, "200", "30,00"},
	{"paid, odd currency", 200, strings.Replace(seen("paid"), `EUR`, `EURO`, 1), capture.AnswerDone, "200", "EURO"},
	{"authorized, no amount", 200, order(`"trade_id":"` + trade + `","state":"authorized"`), capture.AnswerDone, "200", ""},
	{"no state", 200, seen(""), capture.AnswerUnknown, "200", "without a state"},
	{"state of spaces", 200, seen("  "), capture.AnswerUnknown, "200", "without a state"},
	{"state in capitals only", 200, order(`"trade_id":"` + trade + `","STATE":"paid","amount":"1","currency":"EUR"`), capture.AnswerUnknown, "200", "without a state"},
	{"other trade", 200, strings.Replace(seen("paid"), trade, "T2", 1), capture.AnswerUnknown, "200", "answer about another trade: T2"},
	{"trade in capitals", 200, strings.Replace(seen("authorized"), trade, strings.ToUpper(trade), 1), capture.AnswerDone, "200", ""},
	{"paid, no trade", 200, order(`"state":"paid","amount":"30","currency":"EUR"`), capture.AnswerDone, "200", "without a readable trade_id"},
	{"paid, trade an object", 200, order(`"trade_id":{},"state":"paid","amount":"30","currency":"EUR"`), capture.AnswerDone, "200", "without a readable trade_id"},
	{"new", 200, seen("new"), capture.AnswerDone, "200", "the order is new"},
	{"completed", 200, seen("completed"), capture.AnswerDone, "200", "completed"},
	{"state twice", 200, strings.Replace(seen("paid"), `"order_id"`, `"state":"authorized","order_id"`, 1), capture.AnswerUnknown, "", "state occurs twice"},
	{"info twice", 200, success(`{"transaction_info":{"state":"failed"},"transaction_info":{"trade_id":"` + trade + `","state":"paid"}}`), capture.AnswerUnknown, "", "transaction_info occurs twice"},
	{"no trade", 200, order(`"state":"authorized"`), capture.AnswerUnknown, "200", "another trade"},
	{"no info", 200, success(`{}`), capture.AnswerUnknown, "200", "without transaction_info"},
	{"info a list", 200, success(`{"transaction_info":[]}`), capture.AnswerUnknown, "200", "without transaction_info"},
	{"data null", 200, success(`null`), capture.AnswerUnknown, "200", "without transaction_info"},
	{"a capture's answer", 200, paidBody, capture.AnswerUnknown, "200", "without transaction_info"},
}

func TestQueryReadsEveryAnswer(t *testing.T) {
	for _, tc := range append(queryCases, envelopeCases...) {
		t.Run(tc.name, func(t *testing.T) {
			check(t, serve(t, saying(tc.status, tc.body)).Query(t.Context(), trade), tc)
		})
	}
}

// TestPaidUnreadable checks that an unreadable amount is kept as text, cleaned and
// limited, and not as an amount.
func TestPaidUnreadable(t *testing.T) {
	for name, tc := range map[string]struct{ members, want string }{
		"comma":       {`"trade_id":"` + trade + `","amount":"30,00","currency":"EUR"`, "30,00 EUR"},
		"negative":    {`"trade_id":"` + trade + `","amount":-30,"currency":"EUR"`, "-30 EUR"},
		"three cents": {`"trade_id":"` + trade + `","amount":30.001,"currency":"EUR"`, "30.001 EUR"},
		"object":      {`"trade_id":"` + trade + `","amount":{"v":1},"currency":["EUR"]`, `{"v":1} ["EUR"]`},
		"boolean":     {`"trade_id":"` + trade + `","amount":true,"currency":"EUR"`, "true EUR"},
		"no currency": {`"trade_id":"` + trade + `","amount":"30"`, "30"},
		"nothing":     {`"trade_id":"` + trade + `","amount":null`, ""},
		"no trade":    {`"amount":"30.00","currency":"EUR"`, "30.00 EUR, no trade_id"},
		"long":        {`"trade_id":"` + trade + `","amount":"` + strings.Repeat("x", 5000) + `\n","currency":"EUR"`, strings.Repeat("x", 128)},
		"a signature": {`"trade_id":"` + trade + `","amount":"` + ourSign + `","currency":"EUR"`, "[hidden] EUR"},
	} {
		got := serve(t, saying(200, order(tc.members+`,"state":"paid"`))).Query(t.Context(), trade)
		if got.Kind != capture.AnswerDone || got.Order == nil || !got.Order.Amount.IsZero() || got.Order.AmountText != tc.want {
			t.Errorf("%s: %s (%s), order %+v", name, got.Kind, got.Why, got.Order)
		}
	}
}

func TestQueryTellsTheOrder(t *testing.T) {
	body := order(`"trade_id":"` + trade + `","order_id":2350,"amount":30,"currency":"eur","state":"PAID","settlement_amount":"29.5",
		"settlement_currency":"CHF","exchange_rate":0.95,"transaction_id":"TX","paid_time":"2026-11-02 10:00:00","description":{"a":1}`)
	got := serve(t, saying(200, body)).Query(t.Context(), trade)
	want := capture.Order{
		TradeID: trade, OrderID: "2350", State: capture.OrderPaid, Amount: money(t, "30.00", "EUR"), SettlementAmount: "29.5",
		SettlementCurrency: "CHF", ExchangeRate: "0.95", TransactionID: "TX", PaidTime: "2026-11-02 10:00:00",
	}
	if got.Order == nil || *got.Order != want {
		t.Errorf("order %+v, want %+v", got.Order, want)
	}
}
