package capture_test

import (
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

// TestHint: a message that no worker can read still shows which trade and order
// it seems to be about.
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
