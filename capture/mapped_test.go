package capture_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// pathMapping reads events with arrays, keys with dots and amounts in cents.
func pathMapping(change func(map[string]capture.Field)) capture.Mapping {
	fields := map[string]capture.Field{
		"trade_id":       capture.At(`$.note_attributes[?@.name == "trade_id"].value`, "released.trade_id"),
		"amount":         {Paths: []string{"$.payments[0].amount"}, Unit: capture.UnitMinor},
		"currency":       capture.At("$['shop.currency']"),
		"order_id":       capture.At("$.name", "$.id"),
		"capture_before": {Paths: []string{"$.payments[0].until"}, Unit: capture.UnitSeconds},
	}
	if change != nil {
		change(fields)
	}
	return capture.Mapping{Fields: fields}
}

const pathEvent = `{"id":820982911946154508,"name":"#1001","shop.currency":"eur","description":"for Ada","payments":[{"amount":2499,"until":1796119200}],` +
	`"note_attributes":[{"name":"gift","value":"yes"},{"name":"trade_id","value":"T1"}]}`

func TestDecodeByJSONPath(t *testing.T) {
	got, err := decoderFor(t, pathMapping(nil)).Decode(nil, []byte(pathEvent))
	want := capture.Job{
		TradeID: "T1", Amount: euros(t, "24.99"), OrderID: "#1001", Description: "order #1001",
		CaptureBefore: time.Unix(1796119200, 0).UTC(),
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	trade, order := decoderFor(t, pathMapping(nil)).Hint(nil, []byte(pathEvent))
	if trade != "T1" || order != "#1001" {
		t.Errorf("the hint is %q, %q", trade, order)
	}
}

func TestDecodeByJSONPathTakesTheFirstThatIsThere(t *testing.T) {
	body := strings.Replace(pathEvent, `"name":"#1001"`, `"name":null`, 1)
	got, err := decoderFor(t, pathMapping(nil)).Decode(nil, []byte(body))
	if err != nil || got.OrderID != "820982911946154508" {
		t.Errorf("the order is %q, %v: a long number must keep its digits", got.OrderID, err)
	}
}

func TestDecodeByJSONPathRefuses(t *testing.T) {
	const trade = `$.note_attributes[?@.name == "trade_id"].value or released.trade_id`
	for name, tt := range map[string]struct{ old, new, reason, field, says string }{
		"several values":      {`"name":"gift"`, `"name":"trade_id"`, capture.MalformedField, `$.note_attributes[?@.name == "trade_id"].value`, "leads to 2 values"},
		"nothing there":       {`"trade_id"`, `"trade"`, capture.MalformedMissing, trade, "required"},
		"null":                {`"value":"T1"`, `"value":null`, capture.MalformedMissing, trade, "required"},
		"an object":           {`"value":"T1"`, `"value":{}`, capture.MalformedField, `$.note_attributes[?@.name == "trade_id"].value`, "an object"},
		"twice, out of sight": {`"value":"yes"`, `"value":"yes","x":{"y":[{"z":1,"z":1}]}`, capture.MalformedDuplicate, "note_attributes[0].x.y[0].z", "twice"},
		"an exponent":         {`2499`, `24e2`, capture.MalformedAmount, "$.payments[0].amount", "exponent"},
		"decimals in cents":   {`2499`, `24.99`, capture.MalformedAmount, "$.payments[0].amount", "minor units"},
		"a count and a zone":  {`1796119200`, `"2026-12-01T10:00:00Z"`, capture.MalformedTime, "$.payments[0].until", "not a Unix time in seconds"},
		"millis for seconds":  {`1796119200`, `1796119200000`, capture.MalformedTime, "$.payments[0].until", "years"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decoderFor(t, pathMapping(nil)).Decode(nil, []byte(strings.Replace(pathEvent, tt.old, tt.new, 1)))
			bad := wantMalformed(t, err, tt.reason, tt.field)
			if !strings.Contains(bad.Detail, tt.says) {
				t.Errorf("%q does not say %q", bad.Detail, tt.says)
			}
		})
	}
}

// The hundredfold: a JSON integer is not read until its unit is declared.
func TestMappedAmounts(t *testing.T) {
	const refused = ""
	for _, tt := range []struct {
		value, code string
		unit        capture.Unit
		want        string
	}{
		{`250`, "EUR", "", refused}, {`2499`, "EUR", "", refused}, {`2499`, "JPY", "", "2499"}, {`2499`, "KWD", "", refused},
		{`250`, "EUR", capture.UnitMinor, "2.50"}, {`"250"`, "EUR", capture.UnitMinor, "2.50"}, {`5`, "EUR", capture.UnitMinor, "0.05"},
		{`2499`, "KWD", capture.UnitMinor, "2.499"}, {`2499`, "JPY", capture.UnitMinor, "2499"}, {`2499.0`, "EUR", capture.UnitMinor, refused},
		{`"0250"`, "EUR", capture.UnitMinor, refused}, {`0`, "EUR", capture.UnitMinor, refused}, {`-5`, "EUR", capture.UnitMinor, refused},
		{`250`, "EUR", capture.UnitMajor, "250.00"}, {`24.9`, "EUR", "", "24.90"}, {`24.9`, "EUR", capture.UnitMajor, "24.90"},
		{`"24.9900"`, "EUR", "", "24.99"}, {`"24.9910"`, "EUR", "", refused}, {`"500.00"`, "JPY", "", "500"}, {`500.00`, "JPY", "", "500"},
		{`"500.5"`, "JPY", "", refused}, {`" 24.99 "`, "EUR", "", "24.99"}, {`"24,99"`, "EUR", "", refused}, {`"250"`, "EUR", "", "250.00"},
		{`24.989999999999998`, "EUR", "", refused}, {`999999999999999.99`, "EUR", "", "999999999999999.99"}, {`1e3`, "JPY", "", refused},
	} {
		t.Run(fmt.Sprintf("%s %s %s", tt.value, tt.code, tt.unit), func(t *testing.T) {
			for _, path := range []string{"a", "$.a"} {
				m := capture.Mapping{Fields: map[string]capture.Field{"amount": {Paths: []string{path}, Unit: tt.unit}, "currency": capture.At("c")}}
				job, err := decoderFor(t, m).Decode(nil, fmt.Appendf(nil, `{"trade_id":"T1","a":%s,"c":%q}`, tt.value, strings.ToLower(tt.code)))
				if tt.want == refused {
					wantMalformed(t, err, capture.MalformedAmount, path)
				} else if err != nil || job.Amount.Number() != tt.want || job.Amount.Currency() != tt.code {
					t.Errorf("%s: %v, %v; want %s", path, job.Amount, err, tt.want)
				}
			}
		})
	}
}

func TestMappedTimes(t *testing.T) {
	at := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		value string
		unit  capture.Unit
		ok    bool
	}{
		{`"2026-11-02T11:00:00+0100"`, "", true}, {`"2026-11-02T05:30:00-0430"`, "", true}, {`"2026-11-02T10:00:00Z"`, "", true},
		{`1793613600`, capture.UnitSeconds, true}, {`"1793613600"`, capture.UnitSeconds, true}, {`1793613600000`, capture.UnitMillis, true},
		{`1793613600`, "", false}, {`1793613600`, capture.UnitMillis, false}, {`"2026-11-02 10:00:00"`, "", false},
		{`1793613600.5`, capture.UnitSeconds, false}, {`"2026-11-02T11:00:00+01"`, "", false}, {`99999999999999999999`, capture.UnitSeconds, false},
	} {
		t.Run(fmt.Sprintf("%s %s", tt.value, tt.unit), func(t *testing.T) {
			m := capture.Mapping{Fields: map[string]capture.Field{"authorized_at": {Paths: []string{"at"}, Unit: tt.unit}}}
			job, err := decoderFor(t, m).Decode(nil, fmt.Appendf(nil, `{"trade_id":"T1","amount":"5","currency":"EUR","at":%s}`, tt.value))
			if !tt.ok {
				wantMalformed(t, err, capture.MalformedTime, "at")
			} else if err != nil || !job.AuthorizedAt.Equal(at) {
				t.Errorf("%v, %v; want %v", job.AuthorizedAt, err, at)
			}
		})
	}
}

// A member in another letter case is a fault if it could be read for the same
// field, and only then.
func TestMappedLetterCase(t *testing.T) {
	m := capture.Mapping{Fields: map[string]capture.Field{
		"trade_id": capture.At("payment.id"), "amount": capture.At("payment.amount"), "currency": capture.At("currency"),
	}}
	event := func(extra string) string {
		return `{"payment":{"id":"T1","amount":"5"},"currency":"EUR"` + extra + `}`
	}
	for name, tt := range map[string]struct {
		body  string
		field string // "" for a job
	}{
		"nothing else":                    {event(``), ""},
		"a payment with other members":    {event(`,"Payment":{"method":"card"}`), ""},
		"a payment as a text":             {event(`,"PAYMENT":"card"`), ""},
		"a currency as an object":         {event(`,"Currency":{"code":"EUR"}`), ""},
		"a payment with an amount":        {event(`,"Payment":{"AMOUNT":"9"}`), "payment"},
		"another currency":                {event(`,"Currency":"USD"`), "currency"},
		"the currency only in other case": {strings.Replace(event(``), `"currency"`, `"CURRENCY"`, 1), "currency"},
		"our own names, not mapped":       {event(`,"Trade_ID":"T9","Order_ID":"A"`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			job, err := decoderFor(t, m).Decode(nil, []byte(tt.body))
			if tt.field != "" {
				wantMalformed(t, err, capture.MalformedCase, tt.field)
			} else if err != nil || job.TradeID != "T1" {
				t.Errorf("%+v, %v", job, err)
			}
		})
	}
}

func TestUnmappedOptionalFieldsAreOff(t *testing.T) {
	m := capture.Mapping{Fields: map[string]capture.Field{"trade_id": capture.At("id")}}
	job, err := decoderFor(t, m).Decode(nil, []byte(`{"id":"T1","amount":"5","currency":"EUR","description":"for Ada Lovelace","order_id":7,"notify_url":"x","authorized_at":"?"}`))
	if want := (capture.Job{TradeID: "T1", Amount: euros(t, "5"), Description: "capture of T1"}); err != nil || job != want {
		t.Errorf("got %+v, %v", job, err)
	}
}

func TestSeveralCapturesAreSaid(t *testing.T) {
	_, err := decoderFor(t, capture.Mapping{}).Decode(nil, []byte(`[{"trade_id":"T1"},{"trade_id":"T2"}]`))
	if bad := wantMalformed(t, err, capture.MalformedNotObject, ""); !strings.Contains(bad.Detail, "an array of 2; a job is one capture") {
		t.Errorf("%q", bad.Detail)
	}
	_, err = decoderFor(t, capture.Mapping{Fields: map[string]capture.Field{"trade_id": capture.At("payments.id")}}).
		Decode(nil, []byte(`{"payments":[{"id":"T1"},{"id":"T2"},{"id":"T3"}],"amount":"1","currency":"EUR"}`))
	if bad := wantMalformed(t, err, capture.MalformedField, "payments"); !strings.Contains(bad.Detail, "array of 3") || !strings.Contains(bad.Detail, "several messages") {
		t.Errorf("%q", bad.Detail)
	}
}

// Text for the eye never costs a capture.
func TestTextIsCleaned(t *testing.T) {
	long := strings.Repeat("é", 300)
	for _, tt := range []struct{ order, text, wantOrder, want, cleaned string }{
		{`"A-1"`, `"tea for two"`, "A-1", "tea for two", ""},
		{`"A-1"`, `"tea\u200c for\u200d two\u00ad"`, "A-1", "tea for two", "description"},
		{`"A-1"`, `"tea\tfor\r\n two\n"`, "A-1", "tea for two", "description"},
		{`"A-1"`, `"tea\u0007 \u202efor two"`, "A-1", "tea for two", "description"},
		{`"A-1"`, `"half a pair \ud800"`, "A-1", "half a pair", "description"},
		{`"\u200bA\u200d-\u00ad1\n"`, `"x"`, "A-1", "x", "order_id"},
		{`"A\n1"`, `"x\u2028y"`, "A 1", "x y", "order_id,description"},
		{`"A-1"`, `"` + long + `"`, "A-1", strings.Repeat("é", 254) + "…", "description"},
		{`"\u200b"`, `"\ufeff"`, "", "capture of T1", "order_id,description"},
	} {
		body := fmt.Sprintf(`{"trade_id":"T1","amount":"5","currency":"EUR","order_id":%s,"description":%s}`, tt.order, tt.text)
		job, err := decoderFor(t, capture.Mapping{}).Decode(nil, []byte(body))
		if err != nil || job.OrderID != tt.wantOrder || job.Description != tt.want || job.Cleaned != tt.cleaned {
			t.Errorf("%.80s: %+v, %v", body, job, err)
		}
	}
}

func TestMatchError(t *testing.T) {
	m := capture.Mapping{Match: []capture.Match{
		{Path: "ce-type", Value: "shipped"}, {Path: "payment.method", Values: []string{"card", "creditcard"}},
		{Path: "$.lines[0].kind", Value: "Good", IgnoreCase: true, Others: []string{"Service", "null"}},
	}}
	event := func(kind, data string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/","type":%s,"data":%s}`, kind, data)
	}
	good := `{"trade_id":"T1","amount":"5","currency":"EUR","payment":{"method":"card"},"lines":[{"kind":"GOOD"}]}`
	if _, err := decoderFor(t, m).Decode(nil, []byte(event(`"shipped"`, good))); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		body string
		want capture.MatchError
	}{
		"no event":            {good, capture.MatchError{Path: "ce-type", Want: []string{"shipped"}, Missing: true}},
		"another type":        {event(`"packed"`, good), capture.MatchError{Path: "ce-type", Want: []string{"shipped"}, Found: `"packed"`}},
		"another letter case": {event(`"shipped"`, strings.Replace(good, `"card"`, `"Card"`, 1)), capture.MatchError{Path: "payment.method", Want: []string{"card", "creditcard"}, Found: `"Card"`, Case: true}},
		"not there":           {event(`"shipped"`, strings.Replace(good, `"method"`, `"how"`, 1)), capture.MatchError{Path: "payment.method", Want: []string{"card", "creditcard"}, Missing: true}},
		"null":                {event(`"shipped"`, strings.Replace(good, `"card"`, `null`, 1)), capture.MatchError{Path: "payment.method", Want: []string{"card", "creditcard"}, Missing: true}},
		"an object":           {event(`"shipped"`, strings.Replace(good, `"card"`, `{}`, 1)), capture.MatchError{Path: "payment.method", Want: []string{"card", "creditcard"}, Found: "an object"}},
		"an empty array":      {event(`"shipped"`, strings.Replace(good, `[{"kind":"GOOD"}]`, `[]`, 1)), capture.MatchError{Path: "$.lines[0].kind", Want: []string{"Good"}, Missing: true, Expected: true}},
		"an expected value":   {event(`"shipped"`, strings.Replace(good, `"GOOD"`, `"SERVICE"`, 1)), capture.MatchError{Path: "$.lines[0].kind", Want: []string{"Good"}, Found: `"SERVICE"`, Expected: true}},
		"expected and not":    {event(`"shipped"`, strings.NewReplacer(`"GOOD"`, `"SERVICE"`, `"card"`, `"Card"`).Replace(good)), capture.MatchError{Path: "$.lines[0].kind", Want: []string{"Good"}, Found: `"SERVICE"`, Expected: true}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decoderFor(t, m).Decode(nil, []byte(tt.body))
			got, ok := errors.AsType[*capture.MatchError](err)
			if !ok || !errors.Is(err, capture.ErrNotOurs) {
				t.Fatalf("got %v", err)
			}
			if got.Path != tt.want.Path || !slices.Equal(got.Want, tt.want.Want) || got.Missing != tt.want.Missing || got.Found != tt.want.Found || got.Case != tt.want.Case || got.Expected != tt.want.Expected || got.Kind() != tt.want.Kind() {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// The CloudEvents HTTP binding, which that for NATS follows: quotes off, then
// one round of percent-decoding.
func TestBinaryAttributesAreDecoded(t *testing.T) {
	for header, want := range map[string]string{
		"/shop/caf%C3%A9": "/shop/café", "/shop/café": "/shop/café", `"a \"b\" \\c"`: `a "b" \c`, "100%25": "100%", "100%": "100%",
		"%7Ba%20b%7d": "{a b}", "%zz%2": "%zz%2", "%2541": "%41", `"%C3%A9"`: "é",
	} {
		m := capture.Mapping{Match: []capture.Match{{Path: "ce-source", Value: want}}}
		headers := map[string][]string{"ce-specversion": {"1.0"}, "ce-source": {header}}
		if _, err := decoderFor(t, m).Decode(headers, []byte(leastJob)); err != nil {
			t.Errorf("%s is not read as %s: %v", header, want, err)
		}
	}
	m := capture.Mapping{Match: []capture.Match{{Path: "ce-source", Value: `/shop/café "100%"`}}}
	if _, _, err := m.Encode(fullJob(t), "E1"); err != nil {
		t.Errorf("what is written is not read back: %v", err)
	}
}

func TestConditionsThatCannotWork(t *testing.T) {
	for name, match := range map[string]capture.Match{
		"wanted and expected":        {Path: "a", Value: "x", Others: []string{"y", "x"}},
		"an empty value is expected": {Path: "a", Value: "x", Others: []string{""}},
	} {
		if _, err := capture.NewDecoder(capture.Mapping{Match: []capture.Match{match}}); !errors.Is(err, capture.ErrMapping) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMappingsThatCannotWork(t *testing.T) {
	one := func(f capture.Field) map[string]capture.Field { return map[string]capture.Field{"amount": f} }
	for name, fields := range map[string]map[string]capture.Field{
		"no JSONPath":            one(capture.At("$.a[")),
		"a path and a value":     one(capture.Field{Paths: []string{"a"}, Value: "5"}),
		"neither":                one(capture.Field{Unit: capture.UnitMinor}),
		"a unit of time":         one(capture.Field{Paths: []string{"a"}, Unit: capture.UnitSeconds}),
		"an unknown unit":        one(capture.Field{Paths: []string{"a"}, Unit: "cents"}),
		"a unit of a text":       {"order_id": {Paths: []string{"a"}, Unit: capture.UnitMajor}},
		"one trade for all":      {"trade_id": {Value: "T1"}},
		"too many alternatives":  one(capture.At("a", "b", "c", "d", "e", "f", "g", "h", "i")),
		"a query without an end": one(capture.At("$." + strings.Repeat("a", 600))),
	} {
		if _, err := capture.NewDecoder(capture.Mapping{Fields: fields}); !errors.Is(err, capture.ErrMapping) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEncodeByJSONPath(t *testing.T) {
	job := capture.Job{TradeID: "T1", Amount: euros(t, "24.90"), OrderID: "1001", Description: "order 1001", CaptureBefore: time.Unix(1796119200, 0).UTC()}
	m := pathMapping(nil)
	_, body, err := m.Encode(job, "E1")
	if err != nil {
		t.Fatal(err)
	}
	if back, err := decoderFor(t, m).Decode(nil, body); err != nil || back != job {
		t.Errorf("%s is read as %+v, %v", body, back, err)
	}
	many := pathMapping(func(f map[string]capture.Field) { f["trade_id"] = capture.At("$..trade_id") })
	if _, _, err := many.Encode(job, "E1"); !errors.Is(err, capture.ErrEncode) || !strings.Contains(err.Error(), "second path") {
		t.Errorf("%v", err)
	}
	unread := pathMapping(func(f map[string]capture.Field) { delete(f, "capture_before"); delete(f, "order_id") })
	if _, _, err := unread.Encode(job, "E1"); !errors.Is(err, capture.ErrEncode) || !strings.Contains(err.Error(), "capture_before") {
		t.Errorf("a deadline gets lost: %v", err)
	}
	job.CaptureBefore = time.Time{}
	if _, body, err := unread.Encode(job, "E1"); err != nil || strings.Contains(string(body), "1001") {
		t.Errorf("%s, %v", body, err)
	}
}

func TestUnread(t *testing.T) {
	for name, tt := range map[string]struct {
		m    capture.Mapping
		body string
		want []string
	}{
		"our own shape": {capture.Mapping{}, `{"trade_id":"T1","x":1,"amount":"5","y z":{}}`, []string{"x", "y z"}},
		"mapped":        {pathMapping(nil), pathEvent, []string{"description"}},
		"anywhere":      {pathMapping(func(f map[string]capture.Field) { f["trade_id"] = capture.At("$..trade") }), pathEvent, nil},
		"no JSON":       {capture.Mapping{}, `{`, nil},
	} {
		if got := decoderFor(t, tt.m).Unread(nil, []byte(tt.body)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestDecodeCells(t *testing.T) {
	d := decoderFor(t, capture.Mapping{Fields: map[string]capture.Field{
		"amount": {Paths: []string{"Betrag"}, Unit: capture.UnitMinor}, "currency": {Value: "EUR"}, "capture_before": {Paths: []string{"bis"}, Unit: capture.UnitSeconds},
	}})
	got, err := d.DecodeCells(&[10]string{0: "T1", 1: "2499", 3: "A\u00ad-1", 7: "1796119200"})
	want := capture.Job{
		TradeID: "T1", Amount: euros(t, "24.99"), OrderID: "A-1", Description: "order A-1", Cleaned: "order_id",
		CaptureBefore: time.Unix(1796119200, 0).UTC(),
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = d.DecodeCells(&[10]string{0: "T1", 1: "24.99"})
	wantMalformed(t, err, capture.MalformedAmount, "amount")
	_, err = d.DecodeCells(&[10]string{1: "2499"})
	wantMalformed(t, err, capture.MalformedMissing, "trade_id")
}
