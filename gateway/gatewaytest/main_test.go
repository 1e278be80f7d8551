package gatewaytest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	user   = "016683"
	secret = gateway.Secret("test-key")
)

// quick makes every fault fast enough for a test.
var quick = gatewaytest.Timing{
	LateBy: 800 * time.Millisecond, StaleBy: time.Hour, HangMax: 50 * time.Millisecond,
	SlowBy: 60 * time.Millisecond, PendingFor: 500 * time.Millisecond,
	NotifyDelay: 5 * time.Millisecond, NotifyLateBy: 60 * time.Millisecond, NotifyRetry: 5 * time.Millisecond,
}

type bench struct {
	t   *testing.T
	sim *gatewaytest.Simulator
	url string
	web *http.Client
}

// start serves a simulator with trade T1 of 30.00 EUR.
func start(t *testing.T, change func(*gatewaytest.Options)) *bench {
	t.Helper()
	o := gatewaytest.Options{User: user, Secret: secret, Timing: quick, AllowEmptyNotifyURL: true}
	if change != nil {
		change(&o)
	}
	sim := gatewaytest.New(o)
	server := httptest.NewServer(sim)
	web := &http.Client{Transport: &http.Transport{}, Timeout: processtest.Patience}
	t.Cleanup(func() { sim.Close(); web.CloseIdleConnections(); server.Close() })
	b := &bench{t: t, sim: sim, url: server.URL, web: web}
	b.add(gatewaytest.Trade{TradeID: "T1", Amount: euro(t, "30.00")})
	return b
}

func (b *bench) add(trades ...gatewaytest.Trade) {
	b.t.Helper()
	if err := b.sim.AddTrades(trades...); err != nil {
		b.t.Fatal(err)
	}
}

func euro(t *testing.T, number string) capture.Amount {
	t.Helper()
	a, err := capture.ParseAmount(number, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// requestID gives an id of 24 letters and digits.
func requestID(n int) string { return fmt.Sprintf("abcdefghijklmnop%08d", n) }

func captureData(tradeID string, change ...string) map[string]string {
	data := map[string]string{
		"trade_id": tradeID, "amount": "24.99", "currency": "EUR",
		"description": "order 1", "notify_url": "", "request_id": requestID(1),
	}
	for i := 0; i+1 < len(change); i += 2 {
		data[change[i]] = change[i+1]
	}
	return data
}

type answer struct {
	http   int
	header http.Header
	Status bool           `json:"status"`
	Code   any            `json:"code"`
	Data   map[string]any `json:"-"`
	Raw    json.RawMessage
	err    error
}

func (a answer) code() string {
	if a.err != nil {
		return "error: " + a.err.Error()
	}
	return fmt.Sprint(a.Code)
}

func (a answer) field(name string) string { return fmt.Sprint(a.Data[name]) }

func body(userID string, key gateway.Secret, method string, data map[string]string) []byte {
	now := time.Now().Unix()
	b, _ := json.Marshal(map[string]any{
		"user": userID, "method": method, "time": now, "data": data,
		"sign": gateway.Sign(key, gateway.Params(userID, method, now, data)),
	})
	return b
}

func (b *bench) capture(data map[string]string) answer {
	return b.post(body(user, secret, gateway.MethodCapture, data))
}

func (b *bench) query(tradeID string) answer {
	a := b.post(body(user, secret, gateway.MethodQueryOrder, map[string]string{"trade_id": tradeID}))
	info, _ := a.Data["transaction_info"].(map[string]any)
	a.Data = info
	return a
}

func (b *bench) post(body []byte) answer {
	resp, err := b.web.Post(b.url+gatewaytest.PaymentsPath, "application/json", bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	return readAnswer(resp)
}

func readAnswer(resp *http.Response) answer {
	a := answer{http: resp.StatusCode, header: resp.Header}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		a.err = err
		return a
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if a.err = decoder.Decode(&a); a.err != nil {
		return a
	}
	var envelope struct{ Data json.RawMessage }
	if err := json.Unmarshal(raw, &envelope); err != nil {
		a.err = err
	}
	if bytes.HasPrefix(envelope.Data, []byte("{")) {
		a.err = json.Unmarshal(envelope.Data, &a.Data)
	}
	return a
}

func (b *bench) truth(tradeID string) gatewaytest.Truth {
	b.t.Helper()
	truth, ok := b.sim.Truth(tradeID)
	if !ok {
		b.t.Fatalf("no truth about %s", tradeID)
	}
	return truth
}

func (b *bench) script(tradeID string, steps ...gatewaytest.Step) {
	b.t.Helper()
	if err := b.sim.Script(tradeID, steps...); err != nil {
		b.t.Fatal(err)
	}
}

func wantCode(t *testing.T, what string, a answer, code string) {
	t.Helper()
	if a.code() != code {
		t.Fatalf("%s: got code %s, want %s", what, a.code(), code)
	}
	if a.Status != (code == "200") {
		t.Fatalf("%s: status %v does not fit code %s", what, a.Status, code)
	}
}

// eventually polls, with a bound.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	processtest.WaitFor(t, processtest.Patience, what, holds)
}

var errTruncated = io.ErrUnexpectedEOF

func isTruncated(a answer) bool { return errors.Is(a.err, errTruncated) }

func isBroken(a answer) bool {
	return a.err != nil && a.http == 0 &&
		(strings.Contains(a.err.Error(), "reset") || strings.Contains(a.err.Error(), "EOF"))
}

func without(data map[string]string, name string) map[string]string {
	data = maps.Clone(data)
	delete(data, name)
	return data
}
