package capture_test

import (
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

// TestHint checks that a message that no worker can read still shows which trade
// and order it seems to be about.
func TestHint(t *testing.T) {
	ours := capture.Mapping{}
	foreign := capture.Mapping{
		Fields: map[string]capture.Field{"trade_id": capture.At("payment.trade"), "order_id": capture.At("order.no")},
		Match:  []capture.Match{{Path: "ce-type", Value: "order.shipped"}},
	}
	binary := map[string][]string{"ce-specversion": {"1.0"}, "ce-type": {"order.shipped"}}
	for name, tc := range map[string]struct {
		mapping      capture.Mapping
		header       map[string][]string
		body         string
		trade, order string
	}{
		"a bad amount":           {ours, nil, `{"trade_id":"T-1","amount":24.99,"currency":"EUR","order_id":"A-1"}`, "T-1", "A-1"},
		"a bad trade":            {ours, nil, `{"trade_id":"T.1","order_id":"A-1"}`, "T.1", "A-1"},
		"the wrong letter case":  {ours, nil, `{"Trade_ID":"T-1","ORDER_ID":"A-1"}`, "T-1", "A-1"},
		"an order as a number":   {ours, nil, `{"order_id":1001}`, "", "1001"},
		"a member that is twice": {ours, nil, `{"trade_id":"T-1","trade_id":"T-2"}`, "T-1", ""},
		"an escaped text":        {ours, nil, `{"trade\u005fid":"\u0054-1"}`, "T-1", ""},
		"no object":              {ours, nil, `["T-1"]`, "", ""},
		"no JSON":                {ours, nil, `{"trade_id":"T-1"`, "", ""},
		"nothing":                {ours, nil, ``, "", ""},
		"null and an object":     {ours, nil, `{"trade_id":null,"order_id":{}}`, "", ""},
		"control characters":     {ours, nil, `{"trade_id":"T\u001b[2J","order_id":"A\n1"}`, "", "A 1"},
		"a long text":            {ours, nil, `{"trade_id":"` + strings.Repeat("T", 65) + `"}`, "", ""},
		"an event of version 9":  {ours, nil, `{"specversion":"9","data":{"trade_id":"T-1"}}`, "T-1", ""},
		"a mapped event":         {foreign, binary, `{"payment":{"trade":"T-1"},"order":{"no":7}}`, "T-1", "7"},
		"a path through a text":  {foreign, binary, `{"payment":"T-1","order":{"no":"A-1"}}`, "", "A-1"},
		"an event of others":     {foreign, nil, `{"payment":{"trade":"T-1"}}`, "T-1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			trade, order := decoderFor(t, tc.mapping).Hint(tc.header, []byte(tc.body))
			if trade != tc.trade || order != tc.order {
				t.Errorf("Hint(%s) = %q, %q, want %q, %q", tc.body, trade, order, tc.trade, tc.order)
			}
		})
	}
}

// The amount is read as far as it means one sum; what may be in either unit is none.
func TestHintAmount(t *testing.T) {
	field := func(f capture.Field) capture.Mapping {
		return capture.Mapping{Fields: map[string]capture.Field{"trade_id": capture.At("id"), "amount": f, "currency": {Value: "EUR"}}}
	}
	for name, tc := range map[string]struct {
		mapping    capture.Mapping
		body, want string
	}{
		"a job":                    {capture.Mapping{}, `{"amount":"24.99","currency":"EUR"}`, "24.99 EUR"},
		"a number":                 {capture.Mapping{}, `{"amount":24.99,"currency":"eur"}`, "24.99 EUR"},
		"an integer, either unit":  {capture.Mapping{}, `{"amount":2499,"currency":"EUR"}`, ""},
		"an integer of yen":        {capture.Mapping{}, `{"amount":2499,"currency":"JPY"}`, "2499 JPY"},
		"negative":                 {capture.Mapping{}, `{"amount":"-5.00","currency":"EUR"}`, ""},
		"no currency":              {capture.Mapping{}, `{"amount":"5.00"}`, ""},
		"no such currency":         {capture.Mapping{}, `{"amount":"5.00","currency":"EURO"}`, ""},
		"no text":                  {capture.Mapping{}, `{"amount":{},"currency":"EUR"}`, ""},
		"no JSON":                  {capture.Mapping{}, `{"amount":`, ""},
		"minor units":              {field(capture.Field{Paths: []string{"cents"}, Unit: capture.UnitMinor}), `{"cents":2499}`, "24.99 EUR"},
		"minor units with a point": {field(capture.Field{Paths: []string{"cents"}, Unit: capture.UnitMinor}), `{"cents":24.99}`, ""},
		"major units":              {field(capture.Field{Paths: []string{"sum"}, Unit: capture.UnitMajor}), `{"sum":24}`, "24.00 EUR"},
		"the second path":          {field(capture.At("sum", "total")), `{"sum":"none","total":"7.00"}`, "7.00 EUR"},
	} {
		t.Run(name, func(t *testing.T) {
			got := decoderFor(t, tc.mapping).HintAmount(nil, []byte(tc.body))
			if got.String() != tc.want && !(got.IsZero() && tc.want == "") {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestHintFields(t *testing.T) {
	mapping := capture.Mapping{Fields: map[string]capture.Field{
		"trade_id": capture.At("id"), "amount": capture.At("$.payments[0].sum"), "currency": {Value: "EUR"}, "order_id": capture.At("no", "order"),
	}}
	for name, tc := range map[string]struct {
		mapping capture.Mapping
		body    string
		want    map[string]string
	}{
		"our shape": {capture.Mapping{}, `{"trade_id":"T-1","amount":24.99,"currency":null,"order_id":{"a":1},"more":1}`,
			map[string]string{"trade_id": `"T-1"`, "amount": "24.99", "order_id": `{"a":1}`}},
		"mapped":  {mapping, `{"id":7,"payments":[{"sum":"1.00"}],"order":"A"}`, map[string]string{"trade_id": "7", "amount": `"1.00"`, "currency": `"EUR"`, "order_id": `"A"`}},
		"no JSON": {mapping, `{`, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := decoderFor(t, tc.mapping).HintFields(nil, []byte(tc.body))
			for i, field := range capture.JobFields() {
				if got[i] != tc.want[field] {
					t.Errorf("%s is %s, want %s", field, got[i], tc.want[field])
				}
			}
		})
	}
}
