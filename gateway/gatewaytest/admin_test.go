package gatewaytest_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

func (b *bench) admin(method, path, body string, want int) []byte {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := b.web.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != want {
		b.t.Fatalf("%s %s: HTTP %d %s, want %d", method, path, resp.StatusCode, got, want)
	}
	return got
}

func TestAdminTrades(t *testing.T) {
	b := start(t, nil)
	b.admin("POST", "/_sim/trades", `{"trade_id":"A","amount":"5","currency":"EUR","script":["error_after",{"on":"query","state":"verify"}]}`, 201)
	b.admin("POST", "/_sim/trades", `[{"trade_id":"B","amount":"500","currency":"JPY"},{"trade_id":"C","amount":"1.00","currency":"CHF","state":"declined"}]`, 201)
	for _, bad := range []string{
		`{"trade_id":"A","amount":"5","currency":"EUR"}`, `{"trade_id":"x.y","amount":"5","currency":"EUR"}`,
		`{"trade_id":"D","amount":"-5","currency":"EUR"}`, `[{"trade_id":"D","amount":"5","currency":"EUR"},{"trade_id":"D","amount":"5","currency":"EUR"}]`,
		`{"trade_id":"D","amount":"5","currency":"EUR","script":["earthquake"]}`, `hello`,
	} {
		b.admin("POST", "/_sim/trades", bad, 400)
	}
	wantCode(t, "scripted capture", b.capture(captureData("A", "amount", "5")), "-1000")
	if got := b.query("A").field("state"); got != "verify" {
		t.Errorf("scripted query shows %s, want verify", got)
	}
	var truth gatewaytest.Truth
	if err := json.Unmarshal(b.admin("GET", "/_sim/trades/A", "", 200), &truth); err != nil {
		t.Fatal(err)
	}
	if len(truth.Captures) != 1 || truth.Captures[0].Amount != euro(t, "5.00") || truth.Now != "paid" || truth.State != "authorized" {
		t.Errorf("truth %+v", truth)
	}
	if c := truth.Calls[0]; c.RequestID != requestID(1) || c.Amount != "5 EUR" || !c.TookEffect || c.Code != "-1000" || c.Fault != "error_after" {
		t.Errorf("call %+v", c)
	}
	b.admin("GET", "/_sim/trades/D", "", 404)
}

func TestAdminList(t *testing.T) {
	b := start(t, nil)
	b.add(gatewaytest.Trade{TradeID: "T2", Amount: euro(t, "30.00")}, gatewaytest.Trade{TradeID: "T3", Amount: euro(t, "30.00")})
	b.capture(captureData("T2"))
	for query, want := range map[string]string{"": "T1 T2 T3", "?captured=true": "T2", "?captured=false": "T1 T3"} {
		var truths []gatewaytest.Truth
		if err := json.Unmarshal(b.admin("GET", "/_sim/trades"+query, "", 200), &truths); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, truth := range truths {
			ids = append(ids, truth.TradeID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%q lists %s, want %s", query, got, want)
		}
	}
	lines := 0
	scanner := bufio.NewScanner(strings.NewReader(string(b.admin("GET", "/_sim/trades?format=ndjson", "", 200))))
	for ; scanner.Scan(); lines++ {
		var truth gatewaytest.Truth
		if err := json.Unmarshal(scanner.Bytes(), &truth); err != nil {
			t.Errorf("line %d: %v", lines, err)
		}
	}
	if lines != 3 {
		t.Errorf("%d lines, want 3", lines)
	}
}

func TestAdminFaultsAndOutage(t *testing.T) {
	b := start(t, nil)
	b.admin("POST", "/_sim/faults", `{"query_error":1}`, 200)
	wantCode(t, "query", b.query("T1"), "-1000")
	for down, seen := range map[string]func(answer) bool{
		"502": func(a answer) bool { return a.http == 502 }, "reset": isBroken, "hang": isBroken,
	} {
		b.admin("POST", "/_sim/faults", `{"down":"`+down+`"}`, 200)
		if got := b.query("T1"); !seen(got) {
			t.Errorf("down %s: the client saw %+v", down, got)
		}
	}
	b.admin("POST", "/_sim/faults", `{"down":"hang"}`, 200)
	for _, bad := range []string{`{"earthquake":1}`, `{"late":2}`, `{"down":"maybe"}`, `{"preset":"stormy"}`, `{"late":"much"}`, `{"latency":"-1s"}`, `{"latency":20}`, `{"query_lag":"-1s"}`, `{"refuse":"no"}`, `[]`} {
		b.admin("POST", "/_sim/faults", bad, 400)
	}
	var got map[string]any
	json.Unmarshal(b.admin("GET", "/_sim/faults", "", 200), &got)
	if got["query_error"] != 1.0 || got["late"] != 0.0 || got["down"] != "hang" || got["latency"] != "0s" || got["query_lag"] != "0s" || got["refuse"] != "" || len(got) != len(gatewaytest.Knobs())+4 {
		t.Errorf("faults %v", got)
	}
	b.admin("POST", "/_sim/faults", `{"preset":"calm","down":""}`, 200)
	wantCode(t, "query", b.query("T1"), "200")
	if stats := b.sim.Stats(); stats.Down != 3 || stats.Faults != 1 || stats.Queries != 2 {
		t.Errorf("stats %+v", stats)
	}
}

func TestAdminScript(t *testing.T) {
	b := start(t, nil)
	b.admin("POST", "/_sim/script/T1", `["error_before",{"code":"-4024"}]`, 200)
	b.admin("POST", "/_sim/script/T9", `"error_before"`, 400)
	b.admin("POST", "/_sim/script/T1", `"earthquake"`, 400)
	wantCode(t, "first", b.capture(captureData("T1")), "-1000")
	wantCode(t, "second", b.capture(captureData("T1")), "-4024")
	wantCode(t, "third", b.capture(captureData("T1")), "200")
}

func TestAdminIsForLoopback(t *testing.T) {
	b := start(t, nil)
	for address, want := range map[string]int{"192.0.2.1:999": 403, "127.0.0.1:999": 200, "[::1]:999": 200} {
		r := httptest.NewRequest("GET", "/_sim/trades", nil)
		r.RemoteAddr = address
		w := httptest.NewRecorder()
		b.sim.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: HTTP %d, want %d", address, w.Code, want)
		}
	}
}
