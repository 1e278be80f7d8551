package capture_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

const leastJob = `{"trade_id":"T1","amount":"5","currency":"EUR"}`

func structuredWith(members string) string {
	return `{"specversion":"1.0","id":"7","source":"/shop","type":"shop.shipped",` + members + `}`
}

func TestDecodeCloudEvents(t *testing.T) {
	base64Job := base64.StdEncoding.EncodeToString([]byte(leastJob))
	tests := []struct {
		name   string
		header map[string][]string
		body   string
	}{
		{"structured by content type", map[string][]string{"Content-Type": {"application/cloudevents+json; charset=UTF-8"}}, structuredWith(`"data":` + leastJob)},
		{"structured, odd header case", map[string][]string{"cONTENT-tYPE": {"Application/CloudEvents+JSON"}}, structuredWith(`"data":` + leastJob)},
		{"structured by specversion", nil, structuredWith(`"data":` + leastJob)},
		{"structured, base64", nil, structuredWith(`"data_base64":"` + base64Job + `"`)},
		{"structured, null beside base64", nil, structuredWith(`"data":null,"data_base64":"` + base64Job + `"`)},
		{"structured, JSON type", nil, structuredWith(`"datacontenttype":"application/vnd.shop+json","data":` + leastJob)},
		{"structured, later minor version", nil, `{"specversion":"1.7","data":` + leastJob + `}`},
		{"structured wins over copied headers", map[string][]string{"content-type": {"application/cloudevents+json"}, "ce-specversion": {"1.0"}}, structuredWith(`"data":` + leastJob)},
		{"binary", map[string][]string{"ce-specversion": {"1.0"}, "content-type": {"application/json"}}, leastJob},
		{"binary, upper case", map[string][]string{"CE-SPECVERSION": {"1.0"}, "CE-ID": {"7"}}, leastJob},
		{"binary, canonical case", map[string][]string{"Ce-Specversion": {"1.0"}, "Content-Type": {"text/json;charset=utf-8"}}, leastJob},
		{"binary, header repeated equally", map[string][]string{"Ce-Specversion": {"1.0"}, "ce-specversion": {"1.0"}}, leastJob},
		{"binary, data with a specversion of its own", map[string][]string{"ce-specversion": {"1.0"}}, `{"specversion":"x","trade_id":"T1","amount":"5","currency":"EUR"}`},
		{"plain, any content type", map[string][]string{"Content-Type": {"text/plain"}}, leastJob},
	}
	d := decoderFor(t, capture.Mapping{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := d.Decode(tt.header, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if want := (capture.Job{TradeID: "T1", Amount: euros(t, "5"), Description: "capture of T1"}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestDecodeRefusesStructuredEvents(t *testing.T) {
	ce := capture.MalformedCloudEvent
	tests := []struct{ name, body, reason, field string }{
		{"version 0.3", `{"specversion":"0.3","data":` + leastJob + `}`, ce, "specversion"},
		{"version 10.0", `{"specversion":"10.0","data":` + leastJob + `}`, ce, "specversion"},
		{"version without minor", `{"specversion":"1","data":` + leastJob + `}`, ce, "specversion"},
		{"version as a number", `{"specversion":1.0,"data":` + leastJob + `}`, ce, "specversion"},
		{"version null", `{"specversion":null,"data":` + leastJob + `}`, ce, "specversion"},
		{"no data", structuredWith(`"subject":"x"`), ce, "data"},
		{"null data", structuredWith(`"data":null`), ce, "data"},
		{"data as text", structuredWith(`"data":"{}"`), ce, "data"},
		{"data as array", structuredWith(`"data":[` + leastJob + `]`), ce, "data"},
		{"data both ways", structuredWith(`"data":{},"data_base64":"e30="`), ce, "data"},
		{"base64 broken", structuredWith(`"data_base64":"e30"`), ce, "data_base64"},
		{"base64 as object", structuredWith(`"data_base64":{}`), ce, "data_base64"},
		{"base64 of no JSON", structuredWith(`"data_base64":"aGVsbG8="`), capture.MalformedNotJSON, ""},
		{"base64 of an array", structuredWith(`"data_base64":"W10="`), capture.MalformedNotObject, ""},
		{"base64 of nothing", structuredWith(`"data_base64":""`), capture.MalformedNotJSON, ""},
		{"XML data", structuredWith(`"datacontenttype":"application/xml","data":` + leastJob), ce, "datacontenttype"},
		{"content type as number", structuredWith(`"datacontenttype":5,"data":` + leastJob), ce, "datacontenttype"},
		{"data twice", structuredWith(`"data":` + leastJob + `,"data":` + leastJob), capture.MalformedDuplicate, "data"},
		{"Data beside data", structuredWith(`"Data":{},"data":` + leastJob), capture.MalformedCase, "data"},
		{"id twice", structuredWith(`"id":"8","data":` + leastJob), capture.MalformedDuplicate, "id"},
		{"amount twice in data", structuredWith(`"data":{"amount":"1","amount":"2"}`), capture.MalformedDuplicate, "amount"},
		{"AMOUNT in data", structuredWith(`"data":{"trade_id":"T1","AMOUNT":"2","currency":"EUR"}`), capture.MalformedCase, "amount"},
		{"job beside the envelope", structuredWith(`"trade_id":"T1","amount":"5","currency":"EUR","data":{}`), capture.MalformedMissing, "trade_id"},
	}
	d := decoderFor(t, capture.Mapping{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := d.Decode(nil, []byte(tt.body))
			wantMalformed(t, err, tt.reason, tt.field)
		})
	}
}

func TestDecodeRefusesEventHeaders(t *testing.T) {
	ce := capture.MalformedCloudEvent
	tests := []struct {
		name                string
		header              map[string][]string
		body, reason, field string
	}{
		{"binary version 0.3", map[string][]string{"ce-specversion": {"0.3"}}, leastJob, ce, "ce-specversion"},
		{"binary version empty", map[string][]string{"ce-specversion": {""}}, leastJob, ce, "ce-specversion"},
		{"binary versions differ", map[string][]string{"ce-specversion": {"1.0", "1.1"}}, leastJob, ce, "ce-specversion"},
		{"binary XML", map[string][]string{"ce-specversion": {"1.0"}, "content-type": {"application/xml"}}, leastJob, ce, "content-type"},
		{"binary, content types differ", map[string][]string{"Content-Type": {"text/xml"}, "content-type": {"application/json"}}, leastJob, ce, "content-type"},
		{"binary, unreadable content type", map[string][]string{"ce-specversion": {"1.0"}, "content-type": {"; ;"}}, leastJob, "", ""},
		{"binary without body", map[string][]string{"ce-specversion": {"1.0"}}, "", capture.MalformedNotJSON, ""},
		{"binary array", map[string][]string{"ce-specversion": {"1.0"}}, "[]", capture.MalformedNotObject, ""},
		{"batch", map[string][]string{"content-type": {"application/cloudevents-batch+json"}}, "[" + leastJob + "]", ce, "content-type"},
		{"event in another format", map[string][]string{"content-type": {"application/cloudevents+avro"}}, leastJob, ce, "content-type"},
		{"structured type, no version", map[string][]string{"content-type": {"application/cloudevents+json"}}, leastJob, ce, "specversion"},
		{"structured type, no JSON", map[string][]string{"content-type": {"application/cloudevents+json"}}, "hello", capture.MalformedNotJSON, ""},
		{"too large in any form", map[string][]string{"content-type": {"application/cloudevents+avro"}}, strings.Repeat("x", 256<<10+1), capture.MalformedTooLarge, ""},
	}
	d := decoderFor(t, capture.Mapping{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := d.Decode(tt.header, []byte(tt.body))
			if tt.reason == "" {
				if err != nil {
					t.Fatalf("a header that says nothing is not a fault: %v", err)
				}
				return
			}
			wantMalformed(t, err, tt.reason, tt.field)
		})
	}
}

var shopMapping = capture.Mapping{
	Fields: map[string]capture.Field{
		"trade_id": capture.At("payment.trade_id"), "amount": capture.At("payment.total.value"), "currency": capture.At("payment.total.currency"),
		"order_id": capture.At("orderNumber"), "authorized_amount": capture.At("payment.authorized"),
	},
	Match: []capture.Match{{Path: "kind", Values: []string{"order.shipped", "order.part_shipped"}}, {Path: "payment.live", Value: "true"}},
}

// shopEvent is a foreign event; old is replaced by new in it.
func shopEvent(old, new string) string {
	const event = `{"kind":"order.shipped","orderNumber":1001,"description":"for Ada","payment":` +
		`{"live":true,"trade_id":"T1","total":{"value":24.90,"currency":"EUR"},"authorized":"30"},"items":[{"amount":1}]}`
	return strings.Replace(event, old, new, 1)
}

func TestDecodeMapped(t *testing.T) {
	want := capture.Job{TradeID: "T1", Amount: euros(t, "24.90"), OrderID: "1001", Description: "order 1001", AuthorizedAmount: euros(t, "30")}
	tests := []struct{ name, old, new string }{
		{"as it is", "", ""},
		{"the other value", "order.shipped", "order.part_shipped"},
		{"amount as a string", "24.90", `"24.90"`},
		{"amount as a short number", "24.90", `24.9`},
		{"our own names elsewhere", `{"kind"`, `{"trade_id":"T9","amount":"9","AMOUNT":9,"currency":9,"kind"`},
		{"as data of an event", `{"kind"`, `{"specversion":"1.0","data":{"kind"`},
	}
	d := decoderFor(t, shopMapping)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := shopEvent(tt.old, tt.new)
			if strings.Contains(body, "specversion") {
				body += "}"
			}
			got, err := d.Decode(nil, []byte(body))
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestDecodeMappedKeepsOwnNames(t *testing.T) {
	d := decoderFor(t, capture.Mapping{Fields: map[string]capture.Field{"trade_id": capture.At("payment.id")}})
	got, err := d.Decode(nil, []byte(`{"payment":{"id":"T1"},"amount":"5","currency":"EUR"}`))
	if err != nil || got.TradeID != "T1" || got.Amount != euros(t, "5") {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = d.Decode(nil, []byte(`{"payment":{"id":"T1"},"amount":5,"currency":"EUR"}`))
	wantMalformed(t, err, capture.MalformedAmount, "amount") // a number is taken on a mapped path only
}

func TestDecodeMappedRefuses(t *testing.T) {
	tests := []struct{ name, old, new, reason, field string }{
		{"exponent", "24.90", "249e-1", capture.MalformedAmount, "payment.total.value"},
		{"negative", "24.90", "-24.90", capture.MalformedAmount, "payment.total.value"},
		{"binary fraction", "24.90", "24.899999999999999", capture.MalformedAmount, "payment.total.value"},
		{"above the authorization", "24.90", "30.01", capture.MalformedAmount, "payment.total.value"},
		{"exponent in the order", "1001", "1E3", capture.MalformedField, "orderNumber"},
		{"trade as a number", `"T1"`, "77", capture.MalformedField, "payment.trade_id"},
		{"path meets an array", `{"value":24.90,"currency":"EUR"}`, `[{"value":24.90,"currency":"EUR"}]`, capture.MalformedField, "payment.total"},
		{"path meets a text", `{"value":24.90,"currency":"EUR"}`, `"24.90 EUR"`, capture.MalformedField, "payment.total"},
		{"path ends early", `{"value":24.90,"currency":"EUR"}`, `{"currency":"EUR"}`, capture.MalformedMissing, "payment.total.value"},
		{"null on the way", `{"value":24.90,"currency":"EUR"}`, `null`, capture.MalformedMissing, "payment.total.value"},
		{"twice at the top", `"items"`, `"payment":{"live":true},"items"`, capture.MalformedDuplicate, "payment"},
		{"twice inside", `"value":24.90`, `"value":24.90,"value":1`, capture.MalformedDuplicate, "payment.total.value"},
		{"other case at the top", `"items"`, `"PAYMENT":{"live":true},"items"`, capture.MalformedCase, "payment"},
		{"other case inside", `"value":24.90`, `"value":24.90,"Value":1`, capture.MalformedCase, "payment.total.value"},
		{"other case of a camel", `"orderNumber"`, `"ordernumber"`, capture.MalformedCase, "orderNumber"},
		{"selector twice", `"items"`, `"kind":"order.cancelled","items"`, capture.MalformedDuplicate, "kind"},
		{"selector in another case", `"kind"`, `"Kind"`, capture.MalformedCase, "kind"},
		{"not JSON, so not selectable", `{"kind"`, `{kind`, capture.MalformedNotJSON, ""},
	}
	d := decoderFor(t, shopMapping)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := d.Decode(nil, []byte(shopEvent(tt.old, tt.new)))
			wantMalformed(t, err, tt.reason, tt.field)
		})
	}
}

func TestDecodeSkipsWhatIsNotOurs(t *testing.T) {
	attribute := capture.Mapping{Match: []capture.Match{{Path: "ce-type", Value: "shop.shipped"}, {Path: "ce-tenant", Value: "42"}}}
	binary := func(kind string) map[string][]string {
		return map[string][]string{"Ce-Specversion": {"1.0"}, "CE-Type": {kind}, "ce-tenant": {"42"}, "content-type": {"application/json"}}
	}
	xml := binary("shop.invoice")
	xml["content-type"] = []string{"application/xml"}
	tests := []struct {
		name   string
		m      capture.Mapping
		header map[string][]string
		body   string
		ours   bool
	}{
		{"another kind", shopMapping, nil, shopEvent("order.shipped", "order.cancelled"), false},
		{"another letter case of the value", shopMapping, nil, shopEvent("order.shipped", "Order.Shipped"), false},
		{"not live", shopMapping, nil, shopEvent("true", "false"), false},
		{"live as a string", shopMapping, nil, shopEvent("true", `"true"`), true},
		{"no kind", shopMapping, nil, shopEvent(`"kind"`, `"sort"`), false},
		{"kind is null", shopMapping, nil, shopEvent(`"order.shipped"`, `null`), false},
		{"kind is an object", shopMapping, nil, shopEvent(`"order.shipped"`, `{}`), false},
		{"path ends in a text", shopMapping, nil, `{"kind":"order.shipped","payment":"cash"}`, false},
		{"not selected though malformed", shopMapping, nil, `{"kind":"order.cancelled","payment":{"total":[]}}`, false},
		{"event without data", shopMapping, nil, structuredWith(`"subject":"x"`), false},
		{"binary event without data", shopMapping, binary("x"), "", false},
		{"attribute, binary", attribute, binary("shop.shipped"), leastJob, true},
		{"attribute, binary, other", attribute, binary("shop.invoice"), leastJob, false},
		{"attribute, binary, other, no JSON", attribute, xml, "<invoice/>", false},
		{"attribute, structured", attribute, nil, structuredWith(`"tenant":42,"data":` + leastJob), true},
		{"attribute, structured, other", attribute, nil, structuredWith(`"tenant":43,"data":` + leastJob), false},
		{"attribute, structured, none", attribute, nil, structuredWith(`"data":` + leastJob), false},
		{"attribute, plain message", attribute, nil, leastJob, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := decoderFor(t, tt.m).Decode(tt.header, []byte(tt.body))
			if tt.ours && err != nil || !tt.ours && !errors.Is(err, capture.ErrNotOurs) {
				t.Errorf("got error %v, want selected: %v", err, tt.ours)
			}
		})
	}
}

func TestNewDecoderRefuses(t *testing.T) {
	fields := func(name, path string) capture.Mapping {
		return capture.Mapping{Fields: map[string]capture.Field{name: capture.At(path)}}
	}
	match := func(m ...capture.Match) capture.Mapping { return capture.Mapping{Match: m} }
	tests := []struct {
		name string
		m    capture.Mapping
		says []string
	}{
		{"unknown field", fields("tradeid", "payment.id"), []string{"jobs.fields", `"tradeid"`, "trade_id, amount, currency"}},
		{"empty path", fields("amount", ""), []string{"amount", "empty"}},
		{"blank path", fields("amount", "  "), []string{"amount", "empty"}},
		{"empty name in a path", fields("amount", "payment..total"), []string{`"payment..total"`}},
		{"dot at the end", fields("amount", "payment."), []string{`"payment."`}},
		{"space around a name", fields("amount", "payment. total"), []string{`"payment. total"`}},
		{"path without end", fields("amount", strings.Repeat("a.", 64)+"a"), []string{"64"}},
		{"field from an attribute", fields("order_id", "ce-subject"), []string{"order_id", "ce-subject"}},
		{"field inside a field", fields("currency", "amount.currency"), []string{`"amount"`, "both a text and an object"}},
		{"all at once", capture.Mapping{Fields: map[string]capture.Field{"x": capture.At("y"), "amount": capture.At("")}}, []string{`"x"`, "amount: the path is empty"}},
		{"match without path", match(capture.Match{Path: "", Value: "x"}), []string{"jobs.match", "empty"}},
		{"match without value", match(capture.Match{Path: "kind", Value: ""}), []string{`"kind"`, "value"}},
		{"match inside a match", match(capture.Match{Path: "a", Value: "1"}, capture.Match{Path: "a.b", Value: "1"}), []string{`"a"`}},
		{"attribute name", match(capture.Match{Path: "ce-Type", Value: "x"}), []string{`"ce-Type"`, "ce-type"}},
		{"attribute data", match(capture.Match{Path: "ce-data", Value: "x"}), []string{`"ce-data"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := capture.NewDecoder(tt.m)
			if !errors.Is(err, capture.ErrMapping) {
				t.Fatalf("got %v, want ErrMapping", err)
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("the error does not say %q: %v", s, err)
				}
			}
		})
	}
}
