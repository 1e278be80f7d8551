package gatewaytest

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

var forms = []Form{FormObject, FormField, FormEncoded, FormDotted}

// likelyRenderings are the ways of signing that the vendor's library and
// integrations of others are known to use.
var likelyRenderings = []string{"library", "library_without_empty", "merged_without_empty"}

// What further throws of a notification are for.
const (
	saltRendering = 100 + iota
	saltNested
	saltNumber
	saltEmpty
)

func (s *Simulator) rendering(d dice) string {
	if s.opts.NotifyRendering != "" {
		return s.opts.NotifyRendering
	}
	return likelyRenderings[d.pick(saltRendering, len(likelyRenderings))]
}

// notifyBody writes one of the forms, signed with the secret.
func notifyBody(form Form, rendering string, secret gateway.Secret, members map[string]any) (contentType string, body []byte) {
	data := encode(members)
	sign, err := gateway.SignNotification(secret, rendering, data)
	if err != nil {
		panic(err) // the rendering is checked by Options.Validate, and data is an object
	}
	object := encode(map[string]any{"sign": sign, "data": json.RawMessage(data)})
	switch form {
	case FormDotted:
		return "text/plain", append([]byte(sign+"."), data...)
	case FormField:
		return "application/x-www-form-urlencoded", []byte("resultData=" + url.QueryEscape(string(object)))
	case FormEncoded:
		return "application/x-www-form-urlencoded", []byte(url.QueryEscape(string(object)))
	}
	return "application/json", object
}

// notifiedMembers says what a notification says: times as Unix seconds in
// strings, and now and then an amount as a number, a nested object and members
// that are empty in one of PHP's ways.
func (r *captureRun) notifiedMembers(state capture.OrderState, amount capture.Amount, d dice) map[string]any {
	trade := r.a.trade
	m := map[string]any{
		"type": "payment", "user": r.s.opts.User, "order_id": orderID(trade.TradeID), "trade_id": trade.TradeID,
		"transaction_id": "tx" + orderID(trade.TradeID), "amount": shownAmount(amount, d), "currency": amount.Currency(),
		"state": string(state), "createDate": unixText(trade.AuthorizedAt),
	}
	if state == capture.OrderPaid {
		m["paid_time"] = unixText(r.paidTime())
	}
	if d.pick(saltNumber, 4) == 0 {
		m["amount"] = json.Number(strings.TrimSuffix(strings.TrimRight(amount.Number(), "0"), "."))
		if !strings.Contains(amount.Number(), ".") {
			m["amount"] = json.Number(amount.Number())
		}
	}
	if d.pick(saltNested, 3) == 0 {
		m["3ds"] = map[string]any{"3ds_status": "Y", "3ds_trxid": trade.TradeID, "3ds_version": ""}
	}
	switch d.pick(saltEmpty, 5) {
	case 0:
		m["tip_amount"] = "0"
	case 1:
		m["tip_amount"], m["amount_cny"] = 0, nil
	case 2:
		m["description"], m["demo"] = "", false
	}
	return m
}
