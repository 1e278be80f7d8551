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
	{"paid, no amount", 200, order(`"trade_id":"` + trade + `","state":"paid"`), capture.AnswerUnknown, "200", "cannot be read"},
	{"paid, odd amount", 200, strings.Replace(seen("paid"), `"30"`, `"30,00"`, 1), capture.AnswerUnknown, "200", "30,00"},
	{"paid, odd currency", 200, strings.Replace(seen("paid"), `EUR`, `EURO`, 1), capture.AnswerUnknown, "200", "EURO"},
	{"authorized, no amount", 200, order(`"trade_id":"` + trade + `","state":"authorized"`), capture.AnswerDone, "200", ""},
	{"no state", 200, seen(""), capture.AnswerUnknown, "200", "without a state"},
	{"state of spaces", 200, seen("  "), capture.AnswerUnknown, "200", "without a state"},
	{"state in capitals only", 200, order(`"trade_id":"` + trade + `","STATE":"paid","amount":"1","currency":"EUR"`), capture.AnswerUnknown, "200", "without a state"},
	{"other trade", 200, strings.Replace(seen("paid"), trade, "T2", 1), capture.AnswerUnknown, "200", "an answer about another trade: T2"},
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
