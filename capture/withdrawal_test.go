package capture_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

func withdrawals(t *testing.T, m capture.Mapping) *capture.WithdrawalDecoder {
	t.Helper()
	d, err := capture.NewWithdrawalDecoder(m)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecodeWithdrawal(t *testing.T) {
	mapping := capture.Mapping{
		Fields: map[string]capture.Field{"order_id": capture.At("return.order"), "reason": capture.At("return.why")},
		Match:  []capture.Match{{Path: "kind", Value: "returned"}},
	}
	binary := map[string][]string{"Ce-Specversion": {"1.0"}, "content-type": {"application/json"}}
	own := map[string][]string{capture.WithdrawalHeader: {"w1"}}
	long := strings.Repeat("x", 600)
	for name, tt := range map[string]struct {
		mapping capture.Mapping
		header  map[string][]string
		body    string
		want    capture.Withdrawal
		reason  string // of the malformed error
	}{
		"by trade":                 {body: `{"trade_id":"T1","reason":"returned","by":"ann"}`, want: capture.Withdrawal{TradeID: "T1", Reason: "returned", By: "ann"}},
		"by order":                 {body: `{"order_id":"A-1001"}`, want: capture.Withdrawal{OrderID: "A-1001"}},
		"both":                     {body: `{"trade_id":"T1","order_id":"A-1001","note":1}`, want: capture.Withdrawal{TradeID: "T1", OrderID: "A-1001"}},
		"null is absent":           {body: `{"trade_id":null,"order_id":"A"}`, want: capture.Withdrawal{OrderID: "A"}},
		"cleaned as a job is":      {body: `{"order_id":"A\u00ad-1","reason":"two\nlines\ufffd"}`, want: capture.Withdrawal{OrderID: "A-1", Reason: "two lines"}},
		"a long reason is cut":     {body: `{"order_id":"A","reason":"` + long + `"}`, want: capture.Withdrawal{OrderID: "A", Reason: long[:499] + "…"}},
		"a CloudEvent":             {body: `{"specversion":"1.0","data":{"order_id":"A"}}`, want: capture.Withdrawal{OrderID: "A"}},
		"a CloudEvent, binary":     {header: binary, body: `{"order_id":"A"}`, want: capture.Withdrawal{OrderID: "A"}},
		"mapped":                   {mapping: mapping, body: `{"kind":"returned","return":{"order":1001,"why":"broken"}}`, want: capture.Withdrawal{OrderID: "1001", Reason: "broken"}},
		"mapped, own by header":    {mapping: mapping, header: own, body: `{"trade_id":"T1"}`, want: capture.Withdrawal{TradeID: "T1"}},
		"mapped, unmapped is off":  {mapping: mapping, body: `{"kind":"returned","trade_id":"T1"}`, reason: capture.MalformedMissing},
		"names nothing":            {body: `{"reason":"returned"}`, reason: capture.MalformedMissing},
		"blank names nothing":      {body: `{"order_id":" ","trade_id":""}`, reason: capture.MalformedMissing},
		"no trade":                 {body: `{"trade_id":"T 1"}`, reason: capture.MalformedTradeID},
		"twice":                    {body: `{"order_id":"A","order_id":"B"}`, reason: capture.MalformedDuplicate},
		"another case":             {body: `{"Order_ID":"A","order_id":"B"}`, reason: capture.MalformedCase},
		"a number":                 {body: `{"order_id":1}`, reason: capture.MalformedField},
		"a damaged order":          {body: `{"order_id":"A\ufffd"}`, reason: capture.MalformedField},
		"an order that is no text": {body: `{"order_id":["A","B"]}`, reason: capture.MalformedField},
		"too long an order":        {body: `{"order_id":"` + long + `"}`, reason: capture.MalformedField},
		"no JSON":                  {body: `withdraw A`, reason: capture.MalformedNotJSON},
	} {
		t.Run(name, func(t *testing.T) {
			d := withdrawals(t, tt.mapping)
			got, err := d.Decode(tt.header, []byte(tt.body))
			malformed, _ := errors.AsType[*capture.MalformedError](err)
			if tt.reason != "" {
				if malformed == nil || malformed.Reason != tt.reason {
					t.Fatalf("%+v, %v, want %s", got, err, tt.reason)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Fatalf("%+v, %v, want %+v", got, err, tt.want)
			}
			body, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := d.Decode(own, body); err != nil || again != got {
				t.Errorf("written as %s it reads as %+v, %v", body, again, err)
			}
		})
	}
}

func TestWithdrawalOfAnotherEvent(t *testing.T) {
	d := withdrawals(t, capture.Mapping{Match: []capture.Match{{Path: "kind", Value: "returned"}}})
	if _, err := d.Decode(nil, []byte(`{"kind":"shipped","order_id":"A"}`)); !errors.Is(err, capture.ErrNotOurs) {
		t.Errorf("%v, want that it is not selected", err)
	}
	_, err := capture.NewWithdrawalDecoder(capture.Mapping{Fields: map[string]capture.Field{"amount": capture.At("x")}})
	if !errors.Is(err, capture.ErrMapping) || !strings.Contains(err.Error(), "withdrawals.fields") {
		t.Errorf("%v, want that no field of a withdrawal is called amount", err)
	}
}
