package gatewaytest

import (
	"crypto/hmac"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

const (
	codeTradeID = capture.CodeTradeID
	// codeMethod is the code for an unknown method; the gateway's is not documented.
	codeMethod = "-1001"
	// maxCallBody is the largest body that is read, in bytes.
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

// requiredData are the required members of data per method; they must not be empty.
var requiredData = map[string][]string{
	gateway.MethodCapture:    {"trade_id", "amount", "currency", "description", "request_id", "notify_url"},
	gateway.MethodQueryOrder: {"trade_id"},
}

func (s *Simulator) servePayments(w http.ResponseWriter, r *http.Request) {
	// The body is read even if it is not used: only then does the server notice that a
	// client disconnects.
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
	case account == nil && s.opts.AutoCreate && s.createsLater(call):
		s.stats.queries.Add(1)
		s.deliver(w, r, s.showUncreated(call.Data["trade_id"]))
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

// check returns the code for a call that is invalid by itself, "" if it is valid.
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
	for _, name := range required {
		value, present := call.Data[name]
		mayBeEmpty := name == "notify_url" && s.opts.AllowEmptyNotifyURL
		if !present || value == "" && !mayBeEmpty {
			return capture.CodeFieldMissing
		}
	}
	return ""
}

// reject answers a call that failed before its trade was found. Faults and scripts do not
// apply. If the trade exists, the call is recorded in its truth.
func (s *Simulator) reject(w http.ResponseWriter, r *http.Request, a *account, call paymentCall, code string) {
	s.stats.others.Add(1)
	d := newDice(s.opts.Seed, call.Data["trade_id"], "reject", 0)
	if a != nil {
		a.mu.Lock()
		d = newDice(s.opts.Seed, a.trade.TradeID, "reject", a.callsTotal)
		s.record(a, func() Call {
			c := s.newCall(call, s.opts.Clock())
			c.Code = code
			return c
		})
		a.mu.Unlock()
	}
	s.deliver(w, r, delivery{body: failure(code, d)})
}

// maxNoted limits a client's text in the record of calls, in bytes.
const maxNoted = 80

func (s *Simulator) newCall(call paymentCall, at time.Time) Call {
	note := func(text string) string {
		return strings.ToValidUTF8(text[:min(len(text), maxNoted)], "")
	}
	c := Call{At: at, Method: note(call.Method), RequestID: note(call.Data["request_id"])}
	if call.Method == gateway.MethodCapture {
		c.Amount = note(call.Data["amount"] + " " + call.Data["currency"])
	}
	return c
}

// createsLater reports whether a query is about a trade that AutoCreate would create.
// Such a trade counts as authorized before its first capture call, so that a query
// before it, as after a lost call, finds it.
func (s *Simulator) createsLater(call paymentCall) bool {
	trade := call.Data["trade_id"]
	return call.Method == gateway.MethodQueryOrder && capture.ValidTradeID(trade) && trade != capture.ProbeTradeID
}

// showUncreated answers a query about such a trade. Its authorized amount is unknown.
func (s *Simulator) showUncreated(trade string) delivery {
	d := newDice(s.opts.Seed, trade, OnQuery, 0)
	info := queryInfo{
		order:     order{OrderID: orderID(trade), TradeID: trade, State: string(capture.OrderAuthorized)},
		CreatedAt: unixText(s.opts.Clock()),
	}
	return delivery{body: success(queryData{info}, d)}
}

// autoCreate creates the trade of a call, nil if the amount or the trade_id is invalid.
func (s *Simulator) autoCreate(data map[string]string) *account {
	amount, err := capture.ReadAmount(data["amount"], data["currency"])
	if err != nil {
		return nil
	}
	t, err := Trade{TradeID: data["trade_id"], Amount: amount}.complete(s.opts.Clock())
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Of two concurrent calls one creates the trade.
	a := s.trades[t.TradeID]
	if a == nil {
		a = newAccount(t)
		s.trades[t.TradeID], s.order = a, append(s.order, a)
	}
	return a
}
