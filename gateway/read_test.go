package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

// FuzzReadAnswer reads anything: whatever it is, it is done only where the
// gateway's words say so, refused only with a code of its table, and safe.
func FuzzReadAnswer(f *testing.F) {
	for _, cases := range [][]answerCase{captureCases, queryCases, envelopeCases} {
		for _, tc := range cases {
			if len(tc.body) < 2000 {
				f.Add(tc.status, []byte(tc.body))
			}
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		r := request(t)
		got := gateway.ReadCapture(status, body, r)
		assertSound(t, got, status)
		if got.Kind == capture.AnswerDone {
			assertSaid(t, body, func(data map[string]any) bool {
				return capture.SameTrade(data["trade_id"].(string), trade) && strings.EqualFold(strings.TrimSpace(data["state"].(string)), "paid")
			})
			if got.Order.Amount != r.Amount || got.Order.State != capture.OrderPaid {
				t.Fatalf("done with %+v", got.Order)
			}
		}
		got = gateway.ReadQuery(status, body, trade)
		assertSound(t, got, status)
		if got.Kind == capture.AnswerDone {
			assertSaid(t, body, func(data map[string]any) bool {
				info := data["transaction_info"].(map[string]any)
				id, _ := info["trade_id"].(string)
				return info["state"] != "" && (capture.SameTrade(id, trade) || got.Order.TradeID == "" && got.Order.Amount.IsZero())
			})
		}
	})
}

func assertSound(t *testing.T, a capture.Answer, status int) {
	t.Helper()
	switch a.Kind {
	case capture.AnswerDone:
		unreadable := a.Order != nil && a.Order.TradeID == "" && a.Order.State == capture.OrderPaid && a.Order.Amount.IsZero()
		if a.Code != capture.CodeSuccess || a.Order == nil || !unreadable && !capture.SameTrade(a.Order.TradeID, trade) || status < 200 || status > 299 {
			t.Fatalf("done: %+v", a)
		}
	case capture.AnswerRefused:
		if !a.OurFault() && a.Code != capture.CodeRequestID && a.Refusal() == "" {
			t.Fatalf("refused by no code of the table: %+v", a)
		}
	case capture.AnswerUnknown:
	default:
		t.Fatalf("kind %q of an answer that was read", a.Kind)
	}
	if a.Why == "" || len(a.Message) > 200 || len(a.Code) > 32 {
		t.Fatalf("texts: %+v", a)
	}
	for _, s := range []string{a.Code, a.Why, a.Message, a.ResponseID} {
		if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\n\r\x1b") {
			t.Fatalf("not printable: %q", s)
		}
	}
}

// assertSaid reads the body in another way, with the same expectations.
func assertSaid(t *testing.T, body []byte, holds func(map[string]any) bool) {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal([]byte(strings.TrimPrefix(string(body), "\xef\xbb\xbf")), &whole); err != nil {
		t.Fatalf("done, from what is no JSON: %v", err)
	}
	if !holds(whole["data"].(map[string]any)) {
		t.Fatalf("done, from %s", body)
	}
}
