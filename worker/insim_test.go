package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

// simGateway calls the simulator without a network, so that its timers and the
// worker's run in one bubble of simulated time. It reads only what the
// simulator writes; the real client is tested in package gateway.
type simGateway struct {
	sim     *gatewaytest.Simulator
	timeout time.Duration
	// onQuery, if set, is called when a query was answered.
	onQuery func(tradeID string)
}

const (
	simUser                  = "016683"
	simSecret gateway.Secret = "test-key"
)

type simAnswer struct {
	Status bool            `json:"status"`
	Code   json.RawMessage `json:"code"`
	Data   json.RawMessage `json:"data"`
}

type simOrder struct {
	TradeID  string `json:"trade_id"`
	State    string `json:"state"`
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// Capture implements worker.Gateway.
func (g *simGateway) Capture(ctx context.Context, r gateway.CaptureRequest) capture.Answer {
	a := g.call(ctx, gateway.MethodCapture, map[string]string{
		"trade_id": r.TradeID, "amount": r.Amount.Number(), "currency": r.Amount.Currency(),
		"description": "x", "notify_url": r.NotifyURL, "request_id": r.RequestID,
	})
	if a.Kind == capture.AnswerDone && (a.Order.State != capture.OrderPaid || a.Order.Amount != r.Amount) {
		a.Kind = capture.AnswerUnknown
	}
	return a
}

// Query implements worker.Gateway.
func (g *simGateway) Query(ctx context.Context, tradeID string) capture.Answer {
	a := g.call(ctx, gateway.MethodQueryOrder, map[string]string{"trade_id": tradeID})
	if g.onQuery != nil {
		g.onQuery(tradeID)
	}
	return a
}

func (g *simGateway) call(ctx context.Context, method string, data map[string]string) capture.Answer {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	begin := time.Now()
	answer := g.post(ctx, method, data)
	answer.Latency = time.Since(begin)
	return answer
}

// post makes a broken connection, which the simulator tells a recorder by a
// panic, an answer that says nothing.
func (g *simGateway) post(ctx context.Context, method string, data map[string]string) (answer capture.Answer) {
	now := time.Now().Unix()
	body, err := json.Marshal(map[string]any{
		"user": simUser, "method": method, "time": now, "data": data,
		"sign": gateway.Sign(simSecret, gateway.Params(simUser, method, now, data)),
	})
	if err != nil {
		panic(err)
	}
	defer func() {
		switch broke := recover(); broke {
		case nil:
		case http.ErrAbortHandler:
			answer = capture.Answer{Kind: capture.AnswerUnknown, Why: "the connection broke"}
		default:
			panic(broke)
		}
	}()
	w := httptest.NewRecorder()
	g.sim.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, gatewaytest.PaymentsPath, bytes.NewReader(body)))
	return readSim(w)
}

func readSim(w *httptest.ResponseRecorder) capture.Answer {
	unknown := capture.Answer{Kind: capture.AnswerUnknown, HTTPStatus: w.Code, Why: "no readable answer"}
	var envelope simAnswer
	if w.Code != http.StatusOK || json.Unmarshal(w.Body.Bytes(), &envelope) != nil {
		return unknown
	}
	code := strings.Trim(string(envelope.Code), `"`)
	switch {
	case code == capture.CodeInternal:
		return capture.Answer{Kind: capture.AnswerUnknown, Code: code}
	case !envelope.Status:
		return capture.Answer{Kind: capture.AnswerRefused, Code: code}
	}
	var told struct {
		simOrder
		Info *simOrder `json:"transaction_info"`
	}
	if json.Unmarshal(envelope.Data, &told) != nil {
		return unknown
	}
	o := told.simOrder
	if told.Info != nil {
		o = *told.Info
	}
	amount, err := capture.ReadAmount(o.Amount, o.Currency)
	if err != nil {
		return unknown
	}
	return capture.Answer{Kind: capture.AnswerDone, Code: code, Order: &capture.Order{
		TradeID: o.TradeID, State: capture.ParseOrderState(o.State), Amount: amount,
	}}
}
