package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

const paidBody = `{"status":true,"code":"200","data":{"order_id":"23505805395809345894869","trade_id":"` + trade + `",
	"amount":"24.9","currency":"EUR","settlement_amount":"24.9","settlement_currency":"EUR","exchange_rate":"1",
	"state":"paid","message":""},"message":"","response_id":"202407111550570060848432"}`

func success(data string) string { return `{"status":true,"code":"200","data":` + data + `}` }

func refusal(code string) string {
	return `{"status":false,"code":"` + code + `","data":null,"message":"as the gateway says"}`
}

func captured(state string) string {
	return success(`{"trade_id":"` + trade + `","amount":"24.90","currency":"EUR","state":"` + state + `"}`)
}

type answerCase struct {
	name   string
	status int
	body   string
	kind   capture.AnswerKind
	code   string
	why    string // a part of it
}

var captureCases = []answerCase{
	{"paid", 200, paidBody, capture.AnswerDone, "200", "paid"},
	{"paid, code a number", 200, strings.Replace(paidBody, `"200"`, `200`, 1), capture.AnswerDone, "200", ""},
	{"paid, status a string", 200, strings.Replace(paidBody, `true`, `"true"`, 1), capture.AnswerDone, "200", ""},
	{"paid, status a number", 200, strings.Replace(paidBody, `true`, `1`, 1), capture.AnswerDone, "200", ""},
	{"paid, amount a number", 200, strings.Replace(paidBody, `"24.9"`, `24.900`, 1), capture.AnswerDone, "200", ""},
	{"paid, in capitals", 200, strings.Replace(paidBody, `"paid"`, `"PAID"`, 1), capture.AnswerDone, "200", ""},
	{"paid, HTTP 202", 202, paidBody, capture.AnswerDone, "200", ""},
	{"paid, byte order mark", 200, "\xef\xbb\xbf" + paidBody, capture.AnswerDone, "200", ""},
	{"paid, odd members", 200, `{"STATUS":false,"Code":-403,"new":[1],` + paidBody[1:], capture.AnswerDone, "200", ""},
	{"odd members after", 200, strings.TrimSuffix(captured("paid"), "}") + `,"Status":false,"CODE":"-4084","Data":{}}`, capture.AnswerDone, "200", ""},
	{"paid only in an odd member", 200, success(`{"trade_id":"` + trade + `","amount":"24.90","currency":"EUR","State":"paid"}`), capture.AnswerUnknown, "200", "unexpected state"},
	{"paid, one cent off", 200, strings.Replace(paidBody, `"24.9"`, `"24.91"`, 1), capture.AnswerUnknown, "200", "paid with another amount: 24.91 EUR, not 24.90 EUR"},
	{"paid, other currency", 200, strings.Replace(paidBody, `"currency":"EUR"`, `"currency":"CHF"`, 1), capture.AnswerUnknown, "200", "24.9 CHF"},
	{"paid, no amount", 200, strings.Replace(paidBody, `"amount":"24.9",`, ``, 1), capture.AnswerUnknown, "200", "another amount"},
	{"paid, exponent", 200, strings.Replace(paidBody, `"24.9"`, `2.49e1`, 1), capture.AnswerDone, "200", "paid"},
	{"paid, noise of a float", 200, strings.Replace(paidBody, `"24.9"`, `24.899999999999999`, 1), capture.AnswerDone, "200", "paid"},
	{"paid, amount of words", 200, strings.Replace(paidBody, `"24.9"`, `"24,90"`, 1), capture.AnswerUnknown, "200", "24,90 EUR"},
	{"paid, amount an object", 200, strings.Replace(paidBody, `"24.9"`, `{"value":24.9}`, 1), capture.AnswerUnknown, "200", `{"value":24.9} EUR`},
	{"paid, trade in capitals", 200, strings.Replace(paidBody, trade, strings.ToUpper(trade), 1), capture.AnswerDone, "200", "paid"},
	{"new", 200, captured("new"), capture.AnswerUnknown, "200", "accepted, not yet paid: new"},
	{"completed", 200, captured("completed"), capture.AnswerUnknown, "200", "unexpected state: completed"},
	{"state twice", 200, success(`{"trade_id":"` + trade + `","amount":"24.90","currency":"EUR","state":"declined","state":"paid"}`), capture.AnswerUnknown, "", "state occurs twice"},
	{"amount twice", 200, strings.Replace(paidBody, `"amount":"24.9",`, `"amount":"24.9","amount":"20",`, 1), capture.AnswerUnknown, "", "amount occurs twice"},
	{"currency twice", 200, strings.Replace(paidBody, `"currency":"EUR",`, `"currency":"EUR","curr\u0065ncy":"CHF",`, 1), capture.AnswerUnknown, "", "currency occurs twice"},
	{"trade twice", 200, strings.Replace(paidBody, `"amount":"24.9",`, `"amount":"24.9","trade_id":"T2",`, 1), capture.AnswerUnknown, "", "trade_id occurs twice"},
	{"data twice", 200, strings.TrimSuffix(captured("paid"), "}") + `,"data":{}}`, capture.AnswerUnknown, "", "data occurs twice"},
	{"twice the same", 200, success(`{"trade_id":"` + trade + `","amount":"24.90","amount":24.90,"currency":"EUR","state":"paid","state":" paid"}`), capture.AnswerDone, "200", "paid"},
	{"paid, other trade", 200, strings.Replace(paidBody, trade, "T2", 1), capture.AnswerUnknown, "200", "another trade: T2"},
	{"paid, no trade", 200, success(`{"amount":"24.90","currency":"EUR","state":"paid"}`), capture.AnswerUnknown, "200", "another trade"},
	{"declined, other trade", 200, strings.Replace(captured("declined"), trade, "T2", 1), capture.AnswerUnknown, "200", "another trade"},
	{"pending", 200, captured("pending"), capture.AnswerUnknown, "200", "accepted, not yet paid: pending"},
	{"initiated", 200, captured("Initiated"), capture.AnswerUnknown, "200", "accepted, not yet paid"},
	{"processing", 200, captured("processing"), capture.AnswerUnknown, "200", "accepted, not yet paid"},
	{"verify", 200, captured("verify"), capture.AnswerUnknown, "200", "accepted, not yet paid"},
	{"declined", 200, captured("declined"), capture.AnswerRefused, "200", "ended as declined"},
	{"failed", 200, captured("failed"), capture.AnswerRefused, "200", "ended as failed"},
	{"expired", 200, captured("expired"), capture.AnswerRefused, "200", "ended as expired"},
	{"canceled", 200, captured("Canceled"), capture.AnswerRefused, "200", "ended as cancelled"},
	{"authorized", 200, captured("authorized"), capture.AnswerUnknown, "200", "unexpected state: authorized"},
	{"refunded", 200, captured("refunded"), capture.AnswerUnknown, "200", "unexpected state"},
	{"a new word", 200, captured("settling"), capture.AnswerUnknown, "200", "settling"},
	{"no state", 200, captured(""), capture.AnswerUnknown, "200", "unexpected state"},
	{"success, data null", 200, success(`null`), capture.AnswerUnknown, "200", "without data"},
	{"success, data a list", 200, success(`[]`), capture.AnswerUnknown, "200", "without data"},
}

// envelopeCases are read alike for both methods.
var envelopeCases = []answerCase{
	{"signature", 200, refusal("-403"), capture.AnswerRefused, "-403", "signature"},
	{"user", 200, refusal("-2001"), capture.AnswerRefused, "-2001", "user"},
	{"field missing", 200, refusal("-3001"), capture.AnswerRefused, "-3001", "required field"},
	{"request id", 200, refusal("-4118"), capture.AnswerRefused, "-4118", "request ID"},
	{"window", 200, refusal("-4089"), capture.AnswerRefused, "-4089", "window"},
	{"amount", 200, refusal("-4084"), capture.AnswerRefused, "-4084", "amount"},
	{"currency", 200, refusal("-4085"), capture.AnswerRefused, "-4085", "currency"},
	{"trade id", 200, refusal("-4024"), capture.AnswerRefused, "-4024", "trade ID"},
	{"code a number", 200, `{"status":false,"code":-4024}`, capture.AnswerRefused, "-4024", ""},
	{"status a string", 200, `{"status":"false","code":"-4024","data":[]}`, capture.AnswerRefused, "-4024", ""},
	{"status a zero", 200, `{"status":0,"code":"-4024","data":"none"}`, capture.AnswerRefused, "-4024", ""},
	{"our key, HTTP 403", 403, refusal("-403"), capture.AnswerRefused, "-403", ""},
	{"our user, HTTP 401", 401, refusal("-2001"), capture.AnswerRefused, "-2001", ""},
	{"trade id, HTTP 404", 404, refusal("-4024"), capture.AnswerRefused, "-4024", "trade ID"},
	{"amount, HTTP 422", 422, refusal("-4084"), capture.AnswerRefused, "-4084", "amount"},
	{"internal, HTTP 400", 400, refusal("-1000"), capture.AnswerUnknown, "-1000", "internal error"},
	{"a new code, HTTP 400", 400, refusal("-7777"), capture.AnswerUnknown, "-7777", "does not document"},
	{"a new code, HTTP 503", 503, refusal("-7777"), capture.AnswerUnknown, "-7777", "HTTP 503: not a successful HTTP status, with code -7777"},
	{"a new code, HTTP 302", 302, refusal("-7777"), capture.AnswerUnknown, "-7777", "HTTP 302"},
	{"refusal, HTTP 500", 500, refusal("-4084"), capture.AnswerUnknown, "", "with code -4084"},
	{"refusal, HTTP 302", 302, refusal("-4084"), capture.AnswerUnknown, "", "with code -4084"},
	{"refusal, HTTP 400, status true", 400, `{"status":true,"code":"-4084"}`, capture.AnswerUnknown, "", "not a successful HTTP status"},
	{"code twice", 200, `{"status":false,"code":"-4084","code":"-1000"}`, capture.AnswerUnknown, "", "code occurs twice"},
	{"status twice", 200, `{"status":true,"status":false,"code":"-4084"}`, capture.AnswerUnknown, "", "status occurs twice"},
	{"code twice, not listed", 500, `{"status":false,"code":"-7777","code":"-7778"}`, capture.AnswerUnknown, "", "code occurs twice"},
	{"code twice the same", 200, `{"status":false,"code":"-4084","code":-4084}`, capture.AnswerRefused, "-4084", ""},
	{"our key, HTTP 502", 502, refusal("-403"), capture.AnswerUnknown, "", "HTTP 502: not a successful HTTP status, with code -403"},
	{"refusal, HTTP 400", 400, refusal("-4084"), capture.AnswerRefused, "-4084", "amount"},
	{"internal", 200, refusal("-1000"), capture.AnswerUnknown, "-1000", "internal error"},
	{"internal, HTTP 500", 500, refusal("-1000"), capture.AnswerUnknown, "", "with code -1000"},
	{"a new code", 200, refusal("-7777"), capture.AnswerUnknown, "-7777", "does not document"},
	{"a code of words", 200, refusal("oops"), capture.AnswerUnknown, "oops", "does not document"},
	{"refusal, status true", 200, `{"status":true,"code":"-4084"}`, capture.AnswerUnknown, "", "do not match, code -4084"},
	{"internal, status true", 200, `{"status":true,"code":"-1000"}`, capture.AnswerUnknown, "", "contradict"},
	{"refusal, no status", 200, `{"code":"-4084"}`, capture.AnswerUnknown, "", "without a status"},
	{"refusal, status null", 200, `{"code":"-4084","status":null}`, capture.AnswerUnknown, "", "without a status"},
	{"no code", 200, `{"status":false}`, capture.AnswerUnknown, "", "without a code"},
	{"code an object", 200, `{"status":false,"code":{"a":1}}`, capture.AnswerUnknown, "", "without a code"},
	{"code 200.0", 200, `{"status":true,"code":200.0}`, capture.AnswerUnknown, "", "contradict"},
	{"empty", 200, "", capture.AnswerUnknown, "", "not a JSON object (0 bytes)"},
	{"null", 200, "null", capture.AnswerUnknown, "", "not a JSON object"},
	{"list", 200, "[]", capture.AnswerUnknown, "", "not a JSON object"},
	{"cut JSON", 200, paidBody[:len(paidBody)-1], capture.AnswerUnknown, "", "not a JSON object"},
	{"two values", 200, paidBody + paidBody, capture.AnswerUnknown, "", "not a JSON object"},
	{"HTML 502", 502, "<html><h1>502 Bad Gateway</h1></html>", capture.AnswerUnknown, "", "HTTP 502, not a JSON object"},
	{"HTML 200", 200, "<html>maintenance</html>", capture.AnswerUnknown, "", "HTTP 200, not a JSON object"},
	{"HTTP 404", 404, "not found", capture.AnswerUnknown, "", "HTTP 404"},
	{"HTTP 204", 204, "", capture.AnswerUnknown, "", "HTTP 204"},
	{"deep", 200, strings.Repeat("[", 100_000), capture.AnswerUnknown, "", "not a JSON object"},
}

func TestCaptureReadsEveryAnswer(t *testing.T) {
	for _, tc := range append(captureCases, envelopeCases...) {
		t.Run(tc.name, func(t *testing.T) {
			got := serve(t, saying(tc.status, tc.body)).Capture(t.Context(), request(t))
			check(t, got, tc)
		})
	}
	for _, status := range []int{400, 401, 403, 404, 409, 429, 500, 502, 503, 504} {
		t.Run(fmt.Sprintf("paid, HTTP %d", status), func(t *testing.T) {
			got := serve(t, saying(status, paidBody)).Capture(t.Context(), request(t))
			check(t, got, answerCase{status: status, kind: capture.AnswerUnknown, why: "with code 200"})
		})
	}
}

func check(t *testing.T, got capture.Answer, want answerCase) {
	t.Helper()
	if got.Kind != want.kind || got.Code != want.code || got.HTTPStatus != want.status {
		t.Errorf("got %s, code %q, HTTP %d; want %s, %q, %d (why: %s)",
			got.Kind, got.Code, got.HTTPStatus, want.kind, want.code, want.status, got.Why)
	}
	if !strings.Contains(got.Why, want.why) || got.Why == "" {
		t.Errorf("why %q does not say %q", got.Why, want.why)
	}
	if got.Latency <= 0 {
		t.Errorf("latency %s", got.Latency)
	}
}

// TestCaptureTellsWhen checks that all members about the order are read at every
// level of an answer, if it is about the same trade.
func TestCaptureTellsWhen(t *testing.T) {
	const told = `"paid_time":"1720684260","transaction_id":"TX","created_at":1720000000`
	for name, tc := range map[string]struct {
		data string
		want [3]string
	}{
		"beside the state": {`,` + told + `}`, [3]string{"1720684260", "TX", "1720000000"}},
		"one level down":   {`,"transaction_info":{` + told + `}}`, [3]string{"1720684260", "TX", "1720000000"}},
		"createDate":       {`,"createDate":"1720000000"}`, [3]string{"", "", "1720000000"}},
		"of another trade": {`,"transaction_info":{"trade_id":"T2",` + told + `}}`, [3]string{}},
	} {
		body := strings.Replace(captured("paid"), "}}", tc.data+"}", 1)
		got := serve(t, saying(200, body)).Capture(t.Context(), request(t))
		if got.Kind != capture.AnswerDone || [3]string{got.Order.PaidTime, got.Order.TransactionID, got.Order.CreatedAt} != tc.want {
			t.Errorf("%s: %s (%s), order %+v", name, got.Kind, got.Why, got.Order)
		}
	}
}

func TestCaptureTellsTheOrder(t *testing.T) {
	got := serve(t, saying(200, paidBody)).Capture(t.Context(), request(t))
	want := capture.Order{
		TradeID: trade, OrderID: "23505805395809345894869", State: capture.OrderPaid, Amount: money(t, "24.90", "EUR"),
		SettlementAmount: "24.9", SettlementCurrency: "EUR", ExchangeRate: "1",
	}
	if got.Order == nil || *got.Order != want {
		t.Errorf("order %+v, want %+v", got.Order, want)
	}
	if got.ResponseID != "202407111550570060848432" {
		t.Errorf("response_id %q", got.ResponseID)
	}
	for _, state := range []string{"declined", "pending", "authorized"} {
		got := serve(t, saying(200, captured(state))).Capture(t.Context(), request(t))
		if got.Order == nil || string(got.Order.State) != state {
			t.Errorf("%s: order %+v", state, got.Order)
		}
	}
}

// An object of more members than any answer that was seen: none is lost, and a
// member that contradicts another is found wherever they stand.
func TestAnswerOfManyMembers(t *testing.T) {
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, `"member_%d": %d, `, i, i)
	}
	first := strings.Replace(paidBody, `"data":{`, `"data":{"state":"declined", `+many.String(), 1)
	for name, body := range map[string]string{
		"data":     first,
		"envelope": strings.Replace(first, "{", "{"+many.String(), 1),
	} {
		if body == paidBody || first == paidBody {
			t.Fatal("the example has another shape")
		}
		got := serve(t, saying(200, body)).Capture(t.Context(), request(t))
		if got.Kind != capture.AnswerUnknown || got.Code != "" || got.Order != nil {
			t.Errorf("%s: %s (%s), order %+v", name, got.Kind, got.Why, got.Order)
		}
		got = serve(t, saying(200, strings.Replace(body, "declined", "paid", 1))).Capture(t.Context(), request(t))
		if got.Kind != capture.AnswerDone || got.Order == nil || got.Order.State != capture.OrderPaid {
			t.Errorf("%s: %s (%s), order %+v", name, got.Kind, got.Why, got.Order)
		}
	}
}

// Printed examples leave open where the message and the response_id stand.
func TestMessageAndResponseIDStandAnywhere(t *testing.T) {
	for name, tc := range map[string]struct{ body, message, id string }{
		"at the top":         {`{"status":false,"code":"-4024","message":"M","response_id":"R","data":{"message":"m","response_id":"r"}}`, "M", "R"},
		"in data":            {`{"status":false,"code":"-4024","message":"","data":{"message":"m","response_id":20240711}}`, "m", "20240711"},
		"data is the text":   {`{"status":false,"code":"-4024","data":"no such trade"}`, "no such trade", ""},
		"nowhere":            {`{"status":false,"code":"-4024","data":[]}`, "", ""},
		"of a type not text": {`{"status":false,"code":"-4024","message":["M"],"response_id":{}}`, "", ""},
	} {
		got := serve(t, saying(200, tc.body)).Capture(t.Context(), request(t))
		if got.Message != tc.message || got.ResponseID != tc.id {
			t.Errorf("%s: message %q, response_id %q", name, got.Message, got.ResponseID)
		}
	}
}
