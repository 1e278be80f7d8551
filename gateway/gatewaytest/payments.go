package gatewaytest

import (
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

const (
	codeTradeID = capture.CodeTradeID
	// codeMethod answers an unknown method; the gateway's own is not published.
	codeMethod = "-1001"
	// maxCallBody is far above any call.
	maxCallBody = 64 << 10
)

// paymentCall is the body of a call.
type paymentCall struct {
	User   string            `json:"user"`
	Sign   string            `json:"sign"`
	Method string            `json:"method"`
	Time   int64             `json:"time"`
	Data   map[string]string `json:"data"`
}

// requiredData are the members of data by method; those that map to false must
// be there and may be empty.
var requiredData = map[string]map[string]bool{
	gateway.MethodCapture: {
		"trade_id": true, "amount": true, "currency": true, "description": true,
		"request_id": true, "notify_url": false,
	},
	gateway.MethodQueryOrder: {"trade_id": true},
}

func (s *Simulator) servePayments(w http.ResponseWriter, r *http.Request) {
	// The body is read whole even where it is ignored: only then does the
	// server notice that a client goes away.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCallBody))
	now := s.settings.Load()
	if now.down != Up {
		s.stats.down.Add(1)
		s.deliver(w, r, delivery{how: downHow[now.down]})
		return
	}
	var call paymentCall
	if err == nil {
		err = json.Unmarshal(body, &call)
	}
	if err != nil {
		s.reject(w, r, nil, call, capture.CodeFieldMissing)
		return
	}
	account := s.account(call.Data["trade_id"])
	if code := s.check(call); code != "" {
		s.reject(w, r, account, call, code)
		return
	}
	if account == nil && s.opts.AutoCreate && call.Method == gateway.MethodCapture {
		account = s.autoCreate(call.Data)
	}
	switch {
	case account == nil:
		s.reject(w, r, nil, call, codeTradeID)
	case call.Method == gateway.MethodCapture:
		s.stats.captures.Add(1)
		s.deliver(w, r, s.capture(account, call, now.faults))
	default:
		s.stats.queries.Add(1)
		s.deliver(w, r, s.query(account, now.faults))
	}
}

var downHow = map[Down]how{DownReset: byReset, DownHang: byHang, Down502: by502}

// check returns the code for what is wrong with a call as such, "" if nothing.
func (s *Simulator) check(call paymentCall) string {
	switch {
	case call.User == "" || call.Sign == "" || call.Method == "" || call.Time == 0:
		return capture.CodeFieldMissing
	case call.User != s.opts.User:
		return capture.CodeUser
	}
	want := gateway.Sign(*s.secret.Load(), gateway.Params(call.User, call.Method, call.Time, call.Data))
	if !hmac.Equal([]byte(want), []byte(call.Sign)) {
		return capture.CodeSignature
	}
	required, ok := requiredData[call.Method]
	if !ok {
		return codeMethod
	}
	for name, filled := range required {
		value, present := call.Data[name]
		if !present || filled && value == "" {
			return capture.CodeFieldMissing
		}
	}
	return ""
}

// reject answers a call that never got as far as its trade. Neither faults nor
// scripts touch it. Where it names a known trade, the truth shows it.
func (s *Simulator) reject(w http.ResponseWriter, r *http.Request, a *account, call paymentCall, code string) {
	s.stats.others.Add(1)
	d := newDice(s.opts.Seed, call.Data["trade_id"], "reject", 0)
	if a != nil {
		a.mu.Lock()
		d = newDice(s.opts.Seed, a.trade.TradeID, "reject", a.callsTotal)
		c := s.newCall(call)
		c.Code = code
		a.record(c)
		a.mu.Unlock()
	}
	s.deliver(w, r, delivery{body: failure(code, d)})
}

// maxNoted bounds a caller's text in the record of calls.
const maxNoted = 80

func (s *Simulator) newCall(call paymentCall) Call {
	note := func(text string) string {
		return strings.ToValidUTF8(text[:min(len(text), maxNoted)], "")
	}
	c := Call{At: s.opts.Clock(), Method: note(call.Method), RequestID: note(call.Data["request_id"])}
	if call.Method == gateway.MethodCapture {
		c.Amount = note(call.Data["amount"] + " " + call.Data["currency"])
	}
	return c
}

// autoCreate returns nil where the call does not describe a trade.
func (s *Simulator) autoCreate(data map[string]string) *account {
	amount, err := capture.ReadAmount(data["amount"], data["currency"])
	if err != nil {
		return nil
	}
	// Of two calls at once one creates it; both find it.
	if err := s.AddTrades(Trade{TradeID: data["trade_id"], Amount: amount}); err != nil {
		return s.account(data["trade_id"])
	}
	return s.account(data["trade_id"])
}

var messages = map[string]string{
	capture.CodeInternal:         "Internal error",
	capture.CodeSignature:        "The signature Error",
	capture.CodeUser:             "The user not exist",
	capture.CodeFieldMissing:     "Required field is missing",
	capture.CodeRequestID:        "Incorrect request ID",
	capture.CodeWindowExceeded:   "Exceed capture window",
	capture.CodeAmountExceeded:   "The captured amount exceeds the original authorized amount",
	capture.CodeCurrencyMismatch: "The captured currency is different from the original authorization currency",
	capture.CodeTradeID:          "The original trade ID is incorrect",
	codeMethod:                   "The method not exist",
}

// failure writes the envelope of a failed call. What data is on failure is not
// published: the dice play every way that was seen.
func failure(code string, d dice) []byte {
	message := messages[code]
	if message == "" {
		message = "Error"
	}
	e := map[string]any{"status": false, "code": codeValue(code, d), "message": message, "response_id": responseID(d)}
	switch d.pick(saltData, 4) {
	case 0:
		e["data"] = nil
	case 1:
		e["data"] = []string{}
	case 2:
		e["data"] = ""
	}
	return encode(e)
}

// success writes the envelope of a call that went well.
func success(data map[string]any, d dice) []byte {
	return encode(map[string]any{
		"status": true, "code": codeValue(capture.CodeSuccess, d), "data": data,
		"message": "", "response_id": responseID(d),
	})
}

// codeValue is the code as a string or as a number.
func codeValue(code string, d dice) any {
	if d.pick(saltCode, 2) == 0 {
		return code
	}
	return json.Number(code)
}

func responseID(d dice) string { return fmt.Sprintf("%020d", d.bits(saltResponse)) }

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // codes are checked by Options and Step Validate, all else is plain data
	}
	return b
}

// shownAmount writes an amount in one of the ways that are equal: "1.00", "1".
func shownAmount(a capture.Amount, d dice) string {
	number := a.Number()
	if whole, frac, _ := strings.Cut(number, "."); d.pick(saltAmount, 2) == 0 && strings.Trim(frac, "0") == "" {
		return whole
	}
	return number
}

// orderData is what the gateway tells of a trade.
func orderData(t Trade, state capture.OrderState, amount capture.Amount, d dice) map[string]any {
	return map[string]any{
		"order_id": orderID(t.TradeID), "trade_id": t.TradeID, "state": string(state),
		"amount": shownAmount(amount, d), "currency": amount.Currency(),
		"settlement_amount": amount.Number(), "settlement_currency": amount.Currency(),
		"exchange_rate": "1",
	}
}

// orderID is the gateway's own number of a trade, the same whatever the seed.
func orderID(tradeID string) string {
	return fmt.Sprintf("%020d", newDice(0, tradeID, "order", 0).bits(saltResponse))
}
