package gateway_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

// ourSign is what the answers under test may echo.
const ourSign = "3b0e9b056ff8553a9e9f9976df7901685e6ca3cf5795f72f01b61107a5532f97"

// readsAlike holds our reader to the plain one.
func readsAlike(t *testing.T, status int, body string) {
	t.Helper()
	r := request(t)
	if got, want := gateway.ReadCapture(status, []byte(body), r), gateway.PlainCapture(status, []byte(body), r); !reflect.DeepEqual(got, want) {
		t.Errorf("capture, HTTP %d\n%q\ngot  %+v %+v\nwant %+v %+v", status, body, got, got.Order, want, want.Order)
	}
	if got, want := gateway.ReadQuery(status, []byte(body), trade), gateway.PlainQuery(status, []byte(body), trade); !reflect.DeepEqual(got, want) {
		t.Errorf("query, HTTP %d\n%q\ngot  %+v %+v\nwant %+v %+v", status, body, got, got.Order, want, want.Order)
	}
	if got, want := gateway.SignedMembers([]byte(body)), gateway.PlainSigned([]byte(body)); !reflect.DeepEqual(got, want) {
		t.Errorf("signed members of\n%q\ngot  %q\nwant %q", body, got, want)
	}
}

// FuzzReadAgrees checks that our reader and a simple one read every input in the
// same way.
func FuzzReadAgrees(f *testing.F) {
	for _, cases := range [][]answerCase{captureCases, queryCases, envelopeCases} {
		for _, tc := range cases {
			if len(tc.body) < 2000 {
				f.Add(tc.status, tc.body)
			}
		}
	}
	for _, depth := range []int{9_999, 10_000} { // as deep as encoding/json goes, and deeper
		f.Add(200, refusal("-4024")[:1]+`"deep":`+strings.Repeat("[", depth)+strings.Repeat("]", depth)+","+refusal("-4024")[1:])
	}
	f.Add(200, captured(ourSign[:32]+"g")+" \n")
	f.Fuzz(readsAlike)
}

// FuzzBodyAgrees checks that a body equals the output of encoding/json for the
// parameters, with the signature of their map.
func FuzzBodyAgrees(f *testing.F) {
	f.Add(user, "example-secret-key", "order A-1001", "", "ca51f2fas3i0f8uiw7efj6oe", int64(1720684254))
	f.Add("ü<&>", "k", "café \u2028 \x00\x7f \"\\ \xff\xfe", "https://shop.example/n?a=1&b=2", "", int64(-1))
	f.Add(user, "example-secret-key", "", "https://shop.example/n", "ca51f2fas3i0f8uiw7efj6oe", int64(1720684254))
	f.Add("\xff", "\x00", "\t\b\f\r\n", "\u2029\ufffd", "'/", int64(0))
	f.Fuzz(func(t *testing.T, user, key, description, notifyURL, id string, unix int64) {
		if user == "" || key == "" {
			return
		}
		r := request(t)
		r.Description, r.NotifyURL, r.RequestID = description, notifyURL, id
		client := dial(t, "http://127.0.0.1:1", func(c *gateway.Config) {
			c.User, c.SecretKey, c.Clock = user, gateway.Secret(key), func() time.Time { return time.Unix(unix, 0) }
		})
		for range 2 { // the second signer may be used, and is as good as new
			bodyIs(t, gateway.CaptureBody(client, r), user, gateway.Secret(key), gateway.MethodCapture, unix, map[string]string{
				"trade_id": trade, "amount": "24.90", "currency": "EUR", "description": cmp.Or(description, "capture of "+trade), "notify_url": notifyURL, "request_id": id,
			})
			bodyIs(t, gateway.QueryBody(client, id), user, gateway.Secret(key), gateway.MethodQueryOrder, unix, map[string]string{"trade_id": id})
		}
	})
}

func bodyIs(t *testing.T, got []byte, user string, key gateway.Secret, method string, unix int64, data map[string]string) {
	t.Helper()
	for name, value := range data {
		data[name] = strings.ToValidUTF8(value, "\uFFFD")
	}
	want := asJSON(t, struct {
		User   string            `json:"user"`
		Sign   string            `json:"sign"`
		Method string            `json:"method"`
		Time   int64             `json:"time"`
		Data   map[string]string `json:"data"`
	}{user, gateway.Sign(key, gateway.Params(user, method, unix, data)), method, unix, data})
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestReadAgreesOnRandomAnswers makes answers of the members that we read and
// their look-alikes, in any order, several times, and of any type.
func TestReadAgreesOnRandomAnswers(t *testing.T) {
	kinds := map[capture.AnswerKind]int{}
	for seed := range uint64(2_000) {
		g := answerMaker{rand.New(rand.NewPCG(seed, 1))}
		status, body := []int{200, 200, 200, 200, 200, 202, 400, 502}[g.IntN(8)], g.answer()
		readsAlike(t, status, body)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		kinds[gateway.ReadCapture(status, []byte(body), request(t)).Kind]++
		kinds[gateway.ReadQuery(status, []byte(body), trade).Kind]++
	}
	if kinds[capture.AnswerDone] < 50 || kinds[capture.AnswerRefused] < 50 || kinds[capture.AnswerUnknown] < 50 {
		t.Errorf("not enough of every kind: %v", kinds)
	}
}

// TestHexRunsAreFoundAsByAPattern tries texts with runs about as long as the
// one looked for, at every place.
func TestHexRunsAreFoundAsByAPattern(t *testing.T) {
	pattern := regexp.MustCompile(`[0-9A-Fa-f]{8,}`)
	const alphabet = "0123456789abcdefABCDEFabcdef0123g/:@`G\x10\xff"
	found := 0
	g := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		text := make([]byte, g.IntN(40))
		for i := range text {
			text[i] = alphabet[g.IntN(len(alphabet))]
		}
		want := pattern.Match(text)
		if got := gateway.HasHexRun(string(text), 8); got != want {
			t.Fatalf("%q: %v, want %v", text, got, want)
		}
		if want {
			found++
		}
	}
	if found < 1000 || found > 19_000 {
		t.Errorf("%d of 20,000 texts have a run", found)
	}
}

type answerMaker struct{ *rand.Rand }

func (g answerMaker) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g answerMaker) answer() string {
	order := g.object(g.orderMember)
	if g.IntN(2) == 0 {
		order = `{"trade_id":"` + trade + `","amount":24.900,"currency":"EUR","state":"` + g.pick("paid", "authorized") + `",` + order[1:]
	}
	order = strings.Replace(order, ",}", "}", 1)
	if g.IntN(3) == 0 {
		order = "{" + g.member("transaction_info", order) + "}"
	}
	top := g.object(func() string {
		switch g.IntN(12) {
		case 0:
			return g.member("status", g.pick("true", "false", `"true"`, `"FALSE"`, "1", "0", "null", `"tr\u0075e"`))
		case 1:
			return g.member("code", g.pick(`"200"`, "200", `" 200\t"`, `"-1000"`, `"-4084"`, "-403", `""`, "2e2", `"é"`))
		case 2:
			return g.member("data", g.pick(order, order, order, g.value()))
		case 3:
			return g.member(g.pick("message", "response_id"), g.value())
		}
		return g.member(g.pick("", "Status", "CODE", "other"), g.value())
	})
	switch g.IntN(4) {
	case 0, 1:
		top = `{"status":true,"code":"200","data":` + order + "," + top[1:]
	case 2:
		top = `{"status":false,"code":` + g.pick(`"-4084"`, `-403`, `"-4024"`) + "," + top[1:]
	}
	return g.damage(g.pick("", "", "\xef\xbb\xbf", " \n") + strings.Replace(top, ",}", "}", 1) + g.pick("", "", " ", "\r\n"))
}

func (g answerMaker) orderMember() string {
	switch g.IntN(12) {
	case 0:
		return g.member("trade_id", g.pick(`"`+trade+`"`, `"T2"`, g.value()))
	case 1:
		return g.member("state", g.pick(`"paid"`, `"PAID"`, `"authorized"`, `"declined"`, `"pending"`, g.value()))
	case 2:
		return g.member("amount", g.pick(`"24.9"`, "24.90", "24.91", "2.49e1", g.value())) + "," + g.member("currency", g.pick(`"EUR"`, `"eur"`, `"CHF"`, g.value()))
	}
	return g.member(g.pick("order_id", "settlement_amount", "settlement_currency", "exchange_rate", "transaction_id",
		"paid_time", "message", "response_id", "State", "x"), g.value())
}

func (g answerMaker) object(member func() string) string {
	var list []string
	for range g.IntN(1 + g.IntN(12)) {
		list = append(list, member())
	}
	return "{" + strings.Join(list, g.pick(",", " , ")) + "}"
}

// member sometimes writes a letter of the name as an escape, and space.
func (g answerMaker) member(name, value string) string {
	if name != "" && g.IntN(8) == 0 {
		i := g.IntN(len(name))
		name = name[:i] + fmt.Sprintf(`\u%04x`, name[i]) + name[i+1:]
	}
	return `"` + name + `"` + g.pick(":", ":", " : ", ":\t") + value
}

func (g answerMaker) value() string {
	return g.pick("null", "true", "-0.5e3", "{}", "[]", `[1,{"state":"paid"}]`, `{"code":"200","data":{}}`, `""`, `"text"`,
		`"caf\u00e9 ☕ \"x\" \\ \/"`, `"\ud83d\ude00"`, `"\ud800"`, "\"\xff\"", `"a\u0000\n\u001b[31m"`, `"`+ourSign+`"`,
		`"x`+strings.ToUpper(ourSign)+`y"`, `"`+ourSign[:40]+`"`, `"`+strings.Repeat("é1", 200)+`"`, `"for example-secret-key"`,
		`"`+strings.Repeat("0a", 33)+`"`, `"`+strings.Repeat("word ", 80)+`"`)
}

// damage breaks one answer in eight.
func (g answerMaker) damage(s string) string {
	at := g.IntN(len(s) + 1)
	switch g.IntN(24) {
	case 0:
		return s[:at]
	case 1:
		return s[:at] + g.pick(",", "}", "\"", "\\", "\x01", "\xff", "0", "[") + s[at:]
	case 2:
		return s + s
	}
	return s
}
