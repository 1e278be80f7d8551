package capture_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

func decoderFor(t testing.TB, m capture.Mapping) *capture.Decoder {
	t.Helper()
	d, err := capture.NewDecoder(m)
	if err != nil {
		t.Fatalf("NewDecoder(%+v): %v", m, err)
	}
	return d
}

func euros(t testing.TB, number string) capture.Amount {
	t.Helper()
	a, err := capture.ParseAmount(number, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// jobWith is a good job with one member replaced (nil takes it out).
func jobWith(name string, value any) string {
	job := map[string]any{
		"trade_id": "160899f3", "amount": "24.99", "currency": "EUR", "order_id": "A-1001",
		"description": "order A-1001", "authorized_at": "2026-11-02T10:00:00Z",
		"authorized_amount": "30.00", "capture_before": "2026-12-01T10:00:00Z",
		"notify_url": "https://shop.example/notify",
	}
	if value == nil {
		delete(job, name)
	} else {
		job[name] = value
	}
	b, err := json.Marshal(job)
	if err != nil {
		panic(err) // the table holds what JSON cannot
	}
	return string(b)
}

// wantMalformed checks reason and field, and that the text keeps the promises
// of every such error.
func wantMalformed(t *testing.T, err error, reason, field string) *capture.MalformedError {
	t.Helper()
	bad, ok := errors.AsType[*capture.MalformedError](err)
	if !ok {
		t.Fatalf("got error %v, want *MalformedError with reason %s", err, reason)
	}
	if bad.Reason != reason || bad.Field != field {
		t.Errorf("got reason %q in field %q, want %q in %q: %v", bad.Reason, bad.Field, reason, field, bad)
	}
	text := bad.Error()
	if len(text) > 400 {
		t.Errorf("the error has %d bytes: %.100s…", len(text), text)
	}
	if !strings.Contains(text, bad.Reason) || !strings.Contains(text, bad.Field) || bad.Detail == "" {
		t.Errorf("the error does not say what and where: %q", text)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
		t.Errorf("the error is not one line: %q", text)
	}
	return bad
}

func TestDecodeFullJob(t *testing.T) {
	got, err := decoderFor(t, capture.Mapping{}).Decode(nil, []byte(jobWith("later_member", map[string]any{"amount": []any{1, "x"}})))
	if err != nil {
		t.Fatal(err)
	}
	want := capture.Job{
		TradeID: "160899f3", Amount: euros(t, "24.99"), OrderID: "A-1001", Description: "order A-1001",
		NotifyURL: "https://shop.example/notify", AuthorizedAmount: euros(t, "30.00"),
		AuthorizedAt:  time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC),
		CaptureBefore: time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC),
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeTakes(t *testing.T) {
	base := func(change func(*capture.Job)) capture.Job {
		j := capture.Job{TradeID: "T1", Amount: euros(t, "5"), Description: "capture of T1"}
		change(&j)
		return j
	}
	none := func(*capture.Job) {}
	tests := []struct {
		name, body string
		want       capture.Job
	}{
		{"the least", `{"trade_id":"T1","amount":"5","currency":"EUR"}`, base(none)},
		{"space around", " \n{ \"trade_id\" :\t\"T1\" , \"amount\" : \"5.00\" ,\r\n\"currency\":\"EUR\" } \n", base(none)},
		{"null is absent", `{"trade_id":"T1","amount":"5","currency":"EUR","order_id":null,"description":null,"authorized_at":null,"authorized_amount":null,"capture_before":null,"notify_url":null}`, base(none)},
		{"empty is absent", `{"trade_id":"T1","amount":"5","currency":"EUR","order_id":"","description":" ","authorized_at":"","authorized_amount":"","capture_before":"","notify_url":""}`, base(none)},
		{"escaped names and values", `{"trade\u005fid":"\u00541","amount":"5","currency":"EUR"}`, base(none)},
		{"unknown members, even twice", `{"trade_id":"T1","x":1,"x":{"amount":"9"},"amount":"5","X":[{"amount":"9"}],"currency":"EUR","":""}`, base(none)},
		{"strings full of syntax", `{"note":"\"},{[\\","trade_id":"T1","amount":"5","currency":"EUR"}`, base(none)},
		{"description from the order", `{"trade_id":"T1","amount":"5","currency":"EUR","order_id":"A-7"}`,
			base(func(j *capture.Job) { j.OrderID, j.Description = "A-7", "order A-7" })},
		{"text beyond ASCII", `{"trade_id":"T1","amount":"5","currency":"EUR","description":"café ☕\u00a0№7"}`,
			base(func(j *capture.Job) { j.Description = "café ☕\u00a0№7" })},
		{"a zone and a fraction", `{"trade_id":"T1","amount":"5","currency":"EUR","authorized_at":"2026-11-02T12:00:00.25+02:00"}`,
			base(func(j *capture.Job) { j.AuthorizedAt = time.Date(2026, 11, 2, 10, 0, 0, 250e6, time.UTC) })},
		{"signs of a query, but no parameter of ours", `{"trade_id":"T1","amount":"5","currency":"EUR","description":"amount=1 & more; a&amounts=2&Amount=3&amount","notify_url":"https://SHOP.example:8443/n?amount=1&id=2&token=&x"}`,
			base(func(j *capture.Job) {
				j.Description, j.NotifyURL = "amount=1 & more; a&amounts=2&Amount=3&amount", "https://SHOP.example:8443/n?amount=1&id=2&token=&x"
			})},
		{"all of the authorization", `{"trade_id":"T1","amount":"5","currency":"EUR","authorized_amount":"5.00"}`,
			base(func(j *capture.Job) { j.AuthorizedAmount = j.Amount })},
		{"http to this machine, and a port", `{"trade_id":"T1","amount":"5","currency":"EUR","notify_url":"http://127.0.0.1:8080/n?a=b"}`,
			base(func(j *capture.Job) { j.NotifyURL = "http://127.0.0.1:8080/n?a=b" })},
	}
	d := decoderFor(t, capture.Mapping{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := d.Decode(nil, []byte(tt.body))
			schemaAgrees(t, tt.body, err)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestDecodeRefusesText(t *testing.T) {
	ok := jobWith("", nil)
	tests := []struct{ name, body, reason, field string }{
		{"empty", "", capture.MalformedNotJSON, ""},
		{"spaces", " \n", capture.MalformedNotJSON, ""},
		{"plain text", "capture 160899f3 please", capture.MalformedNotJSON, ""},
		{"cut off", ok[:len(ok)-1], capture.MalformedNotJSON, ""},
		{"cut off in a string", `{"trade_id":"16`, capture.MalformedNotJSON, ""},
		{"trailing bytes", ok + "x", capture.MalformedNotJSON, ""},
		{"two objects", ok + ok, capture.MalformedNotJSON, ""},
		{"trailing comma", `{"trade_id":"T1",}`, capture.MalformedNotJSON, ""},
		{"single quotes", `{'trade_id':'T1'}`, capture.MalformedNotJSON, ""},
		{"byte order mark", "\ufeff" + ok, capture.MalformedNotJSON, ""},
		{"invalid UTF-8", strings.Replace(ok, "A-1001", "A-\xff", 1), capture.MalformedNotJSON, ""},
		{"control character in a string", strings.Replace(ok, "A-1001", "A-\n", 1), capture.MalformedNotJSON, ""},
		{"array", "[" + ok + "]", capture.MalformedNotObject, ""},
		{"string", `"trade_id"`, capture.MalformedNotObject, ""},
		{"number", `1`, capture.MalformedNotObject, ""},
		{"null", `null`, capture.MalformedNotObject, ""},
		{"true", ` true `, capture.MalformedNotObject, ""},
		{"too many bytes", jobWith("filler", strings.Repeat("x", 256<<10)), capture.MalformedTooLarge, ""},
		{"nested too deep", `{"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, capture.MalformedTooLarge, ""},
		{"deep and never closed", strings.Repeat(`[`, 200_000), capture.MalformedTooLarge, ""},
		{"amount twice", `{"trade_id":"T1","amount":"5","currency":"EUR","amount":"50"}`, capture.MalformedDuplicate, "amount"},
		{"amount twice, equal", `{"amount":"5","trade_id":"T1","amount":"5","currency":"EUR"}`, capture.MalformedDuplicate, "amount"},
		{"amount twice, one null", `{"amount":null,"trade_id":"T1","amount":"5","currency":"EUR"}`, capture.MalformedDuplicate, "amount"},
		{"amount twice, one escaped", `{"trade_id":"T1","amount":"5","currency":"EUR","am\u006funt":"50"}`, capture.MalformedDuplicate, "amount"},
		{"optional twice", `{"trade_id":"T1","amount":"5","currency":"EUR","order_id":"a","order_id":"b"}`, capture.MalformedDuplicate, "order_id"},
		{"AMOUNT beside amount", `{"trade_id":"T1","amount":"5","AMOUNT":"50","currency":"EUR"}`, capture.MalformedCase, "amount"},
		{"AMOUNT instead of amount", `{"trade_id":"T1","AMOUNT":"50","currency":"EUR"}`, capture.MalformedCase, "amount"},
		{"Trade_Id", `{"Trade_Id":"T1","amount":"5","currency":"EUR"}`, capture.MalformedCase, "trade_id"},
		{"case by escape", `{"trade_id":"T1","amount":"5","currency":"EUR","\u0041mount":"50"}`, capture.MalformedCase, "amount"},
		{"case beyond ASCII", `{"trade_id":"T1","amount":"5","currency":"EUR","de\u017fcription":"x"}`, capture.MalformedCase, "description"},
	}
	d := decoderFor(t, capture.Mapping{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := d.Decode(nil, []byte(tt.body))
			schemaAgrees(t, tt.body, err)
			wantMalformed(t, err, tt.reason, tt.field)
		})
	}
}

// fieldCases are values that a field must not have, by field and reason.
var fieldCases = []struct {
	field, reason string
	values        []any
}{
	{"trade_id", capture.MalformedMissing, []any{nil, json.RawMessage("null")}},
	{"amount", capture.MalformedMissing, []any{nil, json.RawMessage("null")}},
	{"currency", capture.MalformedMissing, []any{nil, json.RawMessage("null")}},
	{"trade_id", capture.MalformedTradeID, []any{"", ".", "a.b", "*", ">", "a b", " a", "a\t", strings.Repeat("x", 65), "é", "t１", "a/b", "a\x00", "$JS"}},
	{"trade_id", capture.MalformedField, []any{160899, true, []string{"T1"}, map[string]string{"id": "T1"}, json.RawMessage(`"\ud800"`)}},
	{"amount", capture.MalformedAmount, []any{
		"", "1e3", "1E3", "-1", "+1", " 1", "1 ", "1.234", "0", "0.00", "1,00", "1.000,00", "1'000", ".5", "5.", ".", "01", "00.5", "1.2.3",
		"0x10", "Inf", "NaN", "１", "1_000", "EUR 5", strings.Repeat("9", 16), strings.Repeat("9", 100_000), 24.99, 5, json.RawMessage("1e3"),
		"30.01",
	}},
	{"amount", capture.MalformedField, []any{true, []int{5}, map[string]string{"value": "5"}, "5\ufffd"}},
	{"currency", capture.MalformedCurrency, []any{"", "eur", "Eur", "EU", "EURO", " EUR", "978", "ZZZ", "€"}},
	{"currency", capture.MalformedField, []any{978, []string{"EUR"}}},
	{"authorized_amount", capture.MalformedAmount, []any{"1e3", "-30", "0", "30.001", 30, "thirty"}},
	{"authorized_amount", capture.MalformedField, []any{false}},
	{"order_id", capture.MalformedField, []any{1001, strings.Repeat("é", 129), "\ufffd", []string{"A"}}},
	{"description", capture.MalformedField, []any{true, map[string]string{}}},
	{"authorized_at", capture.MalformedTime, []any{
		"yesterday", "2026-11-02", "2026-11-02 10:00:00Z", "2026-11-02T10:00:00", "2026-11-02T10:00Z", "2026-11-02T9:00:00Z",
		"2026-11-02T10:00:00,5Z", "2026-02-30T10:00:00Z", "0001-01-01T00:00:00Z", "1762077600", "2026-11-02T24:00:00Z",
		"2026-11-02T10:00:00+24:00", "2026-11-02T10:00:00+01:60", "2026-11-02t10:00:00z",
		"2026-12-02T10:00:00Z0", "1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z",
	}},
	{"authorized_at", capture.MalformedField, []any{1762077600}},
	{"capture_before", capture.MalformedTime, []any{"soon", "2026-11-02T09:59:59Z", "9999-12-31T23:59:59Z"}},
	{"notify_url", capture.MalformedURL, []any{
		"shop.example/notify", "/notify", "//shop.example/n", "ftp://shop.example/n", "https:", "https://", "https:///n", "https://:443/n",
		"https://shop.example/a b", "https://shop.example/é", "https://shop.example:port/", "javascript:alert(1)", "https:shop.example",
		"https://user@shop.example/", "https://user:hunter2@shop.example/", "https://shop.example/\n", "https://shop.example/" + strings.Repeat("x", 500),
	}},
	{"notify_url", capture.MalformedURL, []any{"http://shop.example/n", "HTTP://shop.example/n", "http://127.0.0.1.shop.example/n", "http://localhost.shop.example/", "http://10.0.0.1/"}},
	{"notify_url", capture.MalformedField, []any{80, []string{"https://shop.example"}, "https://shop.example/?a=1&amount=2", "https://shop.example/n&user=1"}},
	{"description", capture.MalformedField, []any{
		"x&amount=1", "&currency=EUR", "a&b&description=", "x&method=v3.Capture", "&notify_url=https://e.example", "&request_id=1", "&time=1", "&trade_id=T2", "&user=1",
	}},
	{"order_id", capture.MalformedField, []any{"A&amount=1", "A&&time="}},
}

func TestDecodeRefusesFields(t *testing.T) {
	d := decoderFor(t, capture.Mapping{})
	for _, c := range fieldCases {
		for _, value := range c.values {
			t.Run(fmt.Sprintf("%s/%s/%.24v", c.field, c.reason, value), func(t *testing.T) {
				body := jobWith(c.field, value)
				_, err := d.Decode(nil, []byte(body))
				schemaAgrees(t, body, err)
				wantMalformed(t, err, c.reason, c.field)
			})
		}
	}
}

func TestDecodeErrorsRepeatNothingPrivate(t *testing.T) {
	tests := []struct{ name, field, value, private string }{
		{"password in a URL", "notify_url", "https://user:hunter2@shop.example/", "hunter2"},
		{"token in a broken URL", "notify_url", "https://shop.example:x/?token=hunter2", "hunter2"},
		{"a name in an order id", "order_id", "Ada\ufffd", "Ada"},
	}
	d := decoderFor(t, capture.Mapping{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := d.Decode(nil, []byte(jobWith(tt.field, tt.value)))
			if err == nil || strings.Contains(err.Error(), tt.private) {
				t.Errorf("got %v, want an error without %q", err, tt.private)
			}
		})
	}
}

func TestNumberAmountSaysWhy(t *testing.T) {
	_, err := decoderFor(t, capture.Mapping{}).Decode(nil, []byte(jobWith("amount", 24.99)))
	bad := wantMalformed(t, err, capture.MalformedAmount, "amount")
	if !strings.Contains(bad.Detail, "cents") || !strings.Contains(bad.Detail, `"24.99"`) {
		t.Errorf("the text does not explain: %q", bad.Detail)
	}
}

func TestMalformedReasonsAreSubjectTokens(t *testing.T) {
	reasons := capture.MalformedReasons()
	for i, r := range reasons {
		if r == "" || strings.Trim(r, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("reason %q is not a plain subject token", r)
		}
		if slices.Contains(reasons[:i], r) {
			t.Errorf("reason %q is listed twice", r)
		}
	}
}

func TestValidTradeID(t *testing.T) {
	for id, want := range map[string]bool{
		"160899f3-f6d9-a8d8-ab5b-82eacdab9c5b": true, "a": true, "A_b-9": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a.b": false, "*": false, ">": false, "a b": false, "é": false, "a\n": false,
	} {
		if got := capture.ValidTradeID(id); got != want {
			t.Errorf("ValidTradeID(%q) = %v, want %v", id, got, want)
		}
	}
}

// TestNotifyHosts checks that a job's notify_url has an allowed host if there is a
// list.
func TestNotifyHosts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hosts []string
		url   string
		ok    bool
	}{
		{"no list", nil, "https://anyone.example/n", true},
		{"empty list", []string{}, "https://shop.example/n", false},
		{"allowed", []string{"shop.example"}, "https://shop.example/n", true},
		{"allowed, the last", []string{"a.example", "b.example", "shop.example"}, "https://shop.example:8443/n", true},
		{"letter case and the dot at the end", []string{"Shop.Example"}, "https://SHOP.example./n", true},
		{"another host", []string{"shop.example"}, "https://evil.example/n", false},
		{"a host below", []string{"shop.example"}, "https://x.shop.example/n", false},
		{"a host that begins alike", []string{"shop.example"}, "https://shop.example.evil.example/n", false},
		{"the host in the path", []string{"shop.example"}, "https://evil.example/shop.example", false},
		{"this machine, in the list", []string{"127.0.0.1"}, "http://127.0.0.1:8080/n", true},
		{"this machine, IPv6", []string{"[::1]"}, "http://[::1]:8080/n", true},
		{"this machine, not in the list", []string{"shop.example"}, "http://127.0.0.1:8080/n", false},
		{"plain http", []string{"shop.example"}, "http://shop.example/n", false},
		{"none of its own", []string{}, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := decoderFor(t, capture.Mapping{NotifyHosts: tt.hosts}).Decode(nil, []byte(jobWith("notify_url", tt.url)))
			if tt.ok && err != nil {
				t.Error(err)
			}
			if !tt.ok {
				bad := wantMalformed(t, err, capture.MalformedURL, "notify_url")
				if strings.Contains(bad.Detail, "evil") || strings.Contains(bad.Detail, tt.url) {
					t.Errorf("repeats the address: %s", bad.Detail)
				}
			}
		})
	}
}
