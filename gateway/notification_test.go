package gateway_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

func paidNotice() map[string]string {
	return map[string]string{
		"type": "payment", "user": user, "order_id": "2350", "trade_id": trade, "transaction_id": "TX", "amount": "24.90",
		"currency": "EUR", "state": "Paid", "description": "café & co = <b>", "empty": "",
	}
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// forms are the three bodies of one notification.
func forms(t testing.TB, sign string, data any) map[string]string {
	object := asJSON(t, map[string]any{"sign": sign, "data": data})
	return map[string]string{
		"object":    object,
		"form":      "resultData=" + url.QueryEscape(object),
		"signature": sign + "." + asJSON(t, data),
	}
}

func TestNotificationInEveryForm(t *testing.T) {
	data := paidNotice()
	want := gateway.Notification{
		Type: "payment", User: user, OrderID: "2350", TradeID: trade, TransactionID: "TX",
		State: capture.OrderPaid, Amount: money(t, "24.90", "EUR"), Rendering: "library",
	}
	for name, body := range forms(t, gateway.Sign(secret, data), data) {
		for key, keys := range [][]gateway.Secret{{secret, "old"}, {"new", secret}} {
			got, err := gateway.ParseNotification([]byte(body), keys...)
			want.Key = key
			if err != nil || got != want {
				t.Errorf("%s, key %d: %+v, %v; want %+v", name, key, got, err, want)
			}
		}
	}
}

func TestNotificationSignatureIsChecked(t *testing.T) {
	good := gateway.Sign(secret, paidNotice())
	for name, tc := range map[string]struct {
		sign   string
		change func(map[string]string)
		keys   []gateway.Secret
	}{
		"other key":       {good, nil, []gateway.Secret{"other", "old"}},
		"no key":          {good, nil, nil},
		"empty key":       {gateway.Sign("", paidNotice()), nil, []gateway.Secret{"", secret, ""}},
		"changed amount":  {good, func(d map[string]string) { d["amount"] = "2490" }, []gateway.Secret{secret}},
		"changed state":   {good, func(d map[string]string) { d["state"] = "failed" }, []gateway.Secret{secret}},
		"added member":    {good, func(d map[string]string) { d["x"] = "" }, []gateway.Secret{secret}},
		"removed member":  {good, func(d map[string]string) { delete(d, "empty") }, []gateway.Secret{secret}},
		"wrong signature": {strings.Repeat("0", 64), nil, []gateway.Secret{secret}},
		"not hex":         {strings.Repeat("z", 64), nil, []gateway.Secret{secret}},
	} {
		t.Run(name, func(t *testing.T) {
			data := paidNotice()
			if tc.change != nil {
				tc.change(data)
			}
			for form, body := range forms(t, tc.sign, data) {
				got, err := gateway.ParseNotification([]byte(body), tc.keys...)
				if !errors.Is(err, gateway.ErrSignature) || got != (gateway.Notification{}) {
					t.Errorf("%s: %+v, %v", form, got, err)
				}
			}
		})
	}
	upper := forms(t, strings.ToUpper(good), paidNotice())["object"]
	if _, err := gateway.ParseNotification([]byte(upper), secret); err != nil {
		t.Errorf("signature in capitals: %v", err)
	}
}

func TestNotificationOfAnotherShape(t *testing.T) {
	sign := strings.Repeat("a", 64)
	for name, body := range map[string]string{
		"empty": "", "text": "ok", "list": "[]", "null": "null", "no sign": `{"data":{}}`, "sign a list": `{"sign":[],"data":{}}`,
		"no data": `{"sign":"` + sign + `"}`, "data text": `{"sign":"` + sign + `","data":"{}"}`, "dot alone": sign + ".",
		"dot, list": sign + ".[]", "form, bad escape": "resultData=%zz", "form, empty": "resultData=", "form, text": "resultData=hello",
		"two objects": `{"sign":"` + sign + `","data":{}}{}`, "capitals": `{"Sign":"` + sign + `","Data":{}}`,
	} {
		if _, err := gateway.ParseNotification([]byte(body), secret); !errors.Is(err, gateway.ErrNotification) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The object is told from signature.{json} by its brace, not by where a dot is.
func TestNotificationWithADotAtAnyPlace(t *testing.T) {
	for n := range 80 {
		data := map[string]string{"a": strings.Repeat("x", n) + ".", "trade_id": trade}
		body := `{"data":` + asJSON(t, data) + `,"sign":"` + gateway.Sign(secret, data) + `"}`
		if _, err := gateway.ParseNotification([]byte(body), secret); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
	}
}

func TestNotificationMustNameATrade(t *testing.T) {
	for _, id := range []string{"", "a.b", "captures.>", strings.Repeat("x", 65)} {
		data := map[string]string{"trade_id": id, "state": "paid"}
		body := forms(t, gateway.Sign(secret, data), data)["object"]
		if _, err := gateway.ParseNotification([]byte(body), secret); !errors.Is(err, gateway.ErrNotification) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// The signed string is joined raw. Who chooses a description of a genuine
// notification must not be able to turn it into one with another state.
func TestNotificationThatReadsTwoWaysIsRefused(t *testing.T) {
	genuine := map[string]string{"description": "D&state=paid&trade_id=V&z=", "state": "declined", "trade_id": trade}
	sign := gateway.Sign(secret, genuine)
	for name, forged := range map[string]map[string]string{
		"in a value": {"description": "D", "state": "paid", "trade_id": "V", "z": "&state=declined&trade_id=" + trade},
		"in a name":  {"description": "D", "state": "paid", "trade_id": "V", "z=&state=declined&trade_id": trade},
	} {
		if gateway.Sign(secret, forged) != sign {
			t.Fatalf("%s: the forgery has another signature, so it shows nothing", name)
		}
		body := forms(t, sign, forged)["object"]
		if _, err := gateway.ParseNotification([]byte(body), secret); !errors.Is(err, gateway.ErrNotification) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNotificationMembersThatAreNoStrings(t *testing.T) {
	signed := map[string]string{"trade_id": trade, "amount": "24.90", "currency": "EUR", "state": "paid", "order_id": "2350",
		"a": "", "b": "1", "c": "", "d": "Array"}
	data := `{"trade_id":"` + trade + `","amount":24.90,"currency":"EUR","state":"paid","order_id":2350,"a":null,"b":true,"c":false,"d":[1,2]}`
	got, err := gateway.ParseNotification([]byte(gateway.Sign(secret, signed)+"."+data), secret)
	if err != nil || got.Amount != money(t, "24.90", "EUR") || got.OrderID != "2350" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func FuzzNotification(f *testing.F) {
	data := paidNotice()
	for _, body := range forms(f, gateway.Sign(secret, data), data) {
		f.Add([]byte(body))
	}
	f.Add([]byte("resultData=%7B%7D"))
	f.Add([]byte(`{"sign":"","data":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := gateway.ParseNotification(body, secret)
		switch {
		case err == nil:
			// Without the key, only what we signed above can pass.
			if got.TradeID != trade || got.State != capture.OrderPaid || got.Amount.Number() != "24.90" {
				t.Fatalf("believed %+v from %q", got, body)
			}
		case !errors.Is(err, gateway.ErrSignature) && !errors.Is(err, gateway.ErrNotification):
			t.Fatalf("an error of no kind: %v", err)
		case got != (gateway.Notification{}):
			t.Fatalf("an error and a notification: %+v", got)
		}
	})
}

// A signature made over any members verifies in every form, unless the members
// can be read two ways.
func FuzzNotificationSigned(f *testing.F) {
	f.Add("description", "café & co")
	f.Add("z", "&state=paid")
	f.Add("a&b", "")
	f.Fuzz(func(t *testing.T, name, value string) {
		data := paidNotice()
		maps.Copy(data, map[string]string{strings.ToValidUTF8("x"+name, "?"): strings.ToValidUTF8(value, "?")})
		for form, body := range forms(t, gateway.Sign(secret, data), data) {
			_, err := gateway.ParseNotification([]byte(body), secret)
			plain := !strings.ContainsAny(name, "&=") && !strings.Contains(value, "&")
			if errors.Is(err, gateway.ErrSignature) || plain && err != nil {
				t.Fatalf("%s of %q=%q: %v", form, name, value, err)
			}
		}
	})
}
