package gatewaytest_test

import (
	"sync"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

func TestCaptureCodes(t *testing.T) {
	signed := func(data map[string]string) []byte { return body(user, secret, gateway.MethodCapture, data) }
	tests := []struct {
		name string
		body []byte
		code string
	}{
		{"all right", signed(captureData("T1")), "200"},
		{"whole authorization, spelled short", signed(captureData("T1", "amount", "30")), "200"},
		{"wrong key", body(user, "other", gateway.MethodCapture, captureData("T1")), "-403"},
		{"unknown user", body("999999", secret, gateway.MethodCapture, captureData("T1")), "-2001"},
		{"unknown method", body(user, secret, "v3.CreateCardPayments", captureData("T1")), "-1001"},
		{"not JSON", []byte("hello"), "-3001"},
		{"empty description", signed(captureData("T1", "description", "")), "-3001"},
		{"no notify_url", signed(without(captureData("T1"), "notify_url")), "-3001"},
		{"no request_id", signed(captureData("T1", "request_id", "")), "-3001"},
		{"amount with exponent", signed(captureData("T1", "amount", "1e1")), "-3001"},
		{"short request_id", signed(captureData("T1", "request_id", "abc123")), "-4118"},
		{"request_id with dashes", signed(captureData("T1", "request_id", "160899f3-f6d9-a8d8-ab5b-82eacdab9c5b")), "-4118"},
		{"expired", signed(captureData("OLD")), "-4089"},
		{"too much", signed(captureData("T1", "amount", "30.01")), "-4084"},
		{"other currency", signed(captureData("T1", "currency", "CHF")), "-4085"},
		{"unknown trade", signed(captureData("NONE")), "-4024"},
		{"declined trade", signed(captureData("DECLINED")), "-4024"},
		{"trade paid at the start", signed(captureData("PAID")), "-4024"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, nil)
			b.add(
				gatewaytest.Trade{TradeID: "OLD", Amount: euro(t, "30.00"), AuthorizedAt: time.Now().Add(-31 * 24 * time.Hour)},
				gatewaytest.Trade{TradeID: "DECLINED", Amount: euro(t, "30.00"), State: capture.OrderDeclined},
				gatewaytest.Trade{TradeID: "PAID", Amount: euro(t, "30.00"), State: capture.OrderPaid},
			)
			wantCode(t, tt.name, b.post(tt.body), tt.code)
			effects := 0
			for truth := range b.sim.Truths() {
				if truth.TradeID != "PAID" {
					effects += len(truth.Captures)
				}
			}
			if want := map[bool]int{true: 1}[tt.code == "200"]; effects != want {
				t.Errorf("%d captures took effect, want %d", effects, want)
			}
		})
	}
}

func TestRequestIDOfAnotherTrade(t *testing.T) {
	b := start(t, nil)
	b.add(gatewaytest.Trade{TradeID: "T2", Amount: euro(t, "30.00")})
	wantCode(t, "first", b.capture(captureData("T1")), "200")
	wantCode(t, "same id, other trade", b.capture(captureData("T2")), "-4118")
}

func TestOneCapturePerTrade(t *testing.T) {
	b := start(t, func(o *gatewaytest.Options) { o.SecondCapture = "-4084" })
	var mu sync.Mutex
	got := map[string]int{}
	var calls sync.WaitGroup
	for i := range 64 {
		calls.Go(func() {
			code := b.capture(captureData("T1", "request_id", requestID(i))).code()
			mu.Lock()
			defer mu.Unlock()
			got[code]++
		})
	}
	calls.Wait()
	if got["200"] != 1 || got["-4084"] != 63 {
		t.Errorf("codes %v, want one 200 and 63 of -4084", got)
	}
	truth := b.truth("T1")
	if len(truth.Captures) != 1 || truth.CallsTotal != 64 || len(truth.Calls) != 64 {
		t.Errorf("%d captures of %d calls, want 1 of 64", len(truth.Captures), truth.CallsTotal)
	}
}

func TestRepeatedRequestID(t *testing.T) {
	const (
		before = gatewaytest.ErrorBefore
		after  = gatewaytest.ErrorAfter
		lost   = gatewaytest.ResetBefore
	)
	tests := []struct {
		mode  gatewaytest.RepeatedMode
		fault gatewaytest.Fault
		again string // the second call's code
		taken int
	}{
		{gatewaytest.Replay, gatewaytest.NoFault, "200", 1},
		{gatewaytest.Replay, before, "200", 1},
		{gatewaytest.Replay, after, "200", 1},
		{gatewaytest.Refuse, gatewaytest.NoFault, "-4118", 1},
		{gatewaytest.Refuse, before, "-4118", 0},
		{gatewaytest.Refuse, after, "-4118", 1},
		{gatewaytest.Refuse, lost, "200", 1},
		{gatewaytest.ReplayError, gatewaytest.NoFault, "200", 1},
		{gatewaytest.ReplayError, before, "-1000", 0},
		{gatewaytest.ReplayError, after, "-1000", 1},
	}
	for _, tt := range tests {
		t.Run(string(tt.mode)+"/"+string(tt.fault), func(t *testing.T) {
			b := start(t, func(o *gatewaytest.Options) { o.RepeatedRequestID = tt.mode })
			b.script("T1", gatewaytest.Step{Fault: tt.fault})
			b.capture(captureData("T1"))
			wantCode(t, "repeated", b.capture(captureData("T1")), tt.again)
			if n := len(b.truth("T1").Captures); n != tt.taken {
				t.Errorf("%d captures took effect, want %d", n, tt.taken)
			}
		})
	}
}

func TestPartialAmount(t *testing.T) {
	for mode, want := range map[gatewaytest.AmountMode]string{
		"": "24.99", gatewaytest.ShowCaptured: "24.99", gatewaytest.ShowAuthorized: "30.00",
	} {
		b := start(t, func(o *gatewaytest.Options) { o.PartialAmount = mode })
		wantCode(t, "capture", b.capture(captureData("T1")), "200")
		q := b.query("T1")
		got, err := capture.ReadAmount(q.field("amount"), q.field("currency"))
		if err != nil || got != euro(t, want) || q.field("state") != "paid" {
			t.Errorf("mode %q: query shows %v %v (%v), want paid %s", mode, q.field("state"), got, err, want)
		}
	}
}

func TestAfterWindow(t *testing.T) {
	for mode, want := range map[gatewaytest.ExpiryMode]string{
		gatewaytest.ShowExpired: "expired", gatewaytest.ShowStillAuthorized: "authorized",
	} {
		b := start(t, func(o *gatewaytest.Options) { o.AfterWindow = mode })
		b.add(gatewaytest.Trade{TradeID: "OLD", Amount: euro(t, "1.00"), ExpiresAt: time.Now().Add(-time.Second)})
		if got := b.query("OLD").field("state"); got != want {
			t.Errorf("mode %s: state %s, want %s", mode, got, want)
		}
	}
}

func TestAutoCreate(t *testing.T) {
	b := start(t, func(o *gatewaytest.Options) { o.AutoCreate = true })
	// What a lost call never reached was authorized for all that, or a drill would
	// park it as unknown.
	if got := b.query("NEW"); got.code() != "200" || got.field("state") != "authorized" {
		t.Errorf("a query before the first call: %s %s", got.code(), got.field("state"))
	}
	client, err := gateway.New(gateway.Config{URL: b.url + gatewaytest.PaymentsPath, User: user, SecretKey: secret})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if got := client.Query(t.Context(), "NEW"); got.Kind != capture.AnswerDone || got.Order.State != capture.OrderAuthorized || !got.Order.Amount.IsZero() {
		t.Errorf("our client reads %+v", got)
	}
	wantCode(t, "query of the probe", b.query(capture.ProbeTradeID), "-4024")
	wantCode(t, "query of what is no trade", b.query("a.b"), "-4024")
	wantCode(t, "capture of an unknown trade", b.capture(captureData("NEW")), "200")
	if got := b.query("NEW").field("state"); got != "paid" {
		t.Errorf("after the capture it is %s", got)
	}
}

func TestTheClientAgrees(t *testing.T) {
	b := start(t, nil)
	client, err := gateway.New(gateway.Config{URL: b.url + gatewaytest.PaymentsPath, User: user, SecretKey: secret})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 8 { // the notation of codes and amounts varies
		client.Query(t.Context(), "T1")
	}
	got := client.Capture(t.Context(), gateway.CaptureRequest{
		TradeID: "T1", Amount: euro(t, "24.99"), Description: "order 1", RequestID: requestID(1),
	})
	if got.Kind != capture.AnswerDone {
		t.Fatalf("capture: %+v", got)
	}
	if got := client.Query(t.Context(), "T1"); got.Kind != capture.AnswerDone || got.Order.State != capture.OrderPaid {
		t.Fatalf("query: %+v", got)
	}
}

// TestEmptyNotifyURL checks that an empty notify_url is refused like a missing one,
// unless the simulator is configured otherwise.
func TestEmptyNotifyURL(t *testing.T) {
	for allow, code := range map[bool]string{false: "-3001", true: "200"} {
		b := start(t, func(o *gatewaytest.Options) { o.AllowEmptyNotifyURL = allow })
		wantCode(t, "empty", b.capture(captureData("T1")), code)
		wantCode(t, "with an address", b.capture(captureData("T1", "notify_url", "https://shop.example/n")), "200")
	}
}

// TestTimesAreUnixSeconds checks that times are Unix seconds in strings, as the
// gateway sends them.
func TestTimesAreUnixSeconds(t *testing.T) {
	b := start(t, nil)
	at := time.Unix(1720684254, 0)
	b.add(gatewaytest.Trade{TradeID: "T2", Amount: euro(t, "30.00"), AuthorizedAt: at, ExpiresAt: time.Now().Add(time.Hour)})
	if got := b.query("T2"); got.field("created_at") != "1720684254" || got.field("paid_time") != "" {
		t.Errorf("created_at %s, paid_time %s", got.field("created_at"), got.field("paid_time"))
	}
	before := time.Now().Unix()
	wantCode(t, "capture", b.capture(captureData("T2")), "200")
	if paid := capture.UnixSeconds(b.query("T2").field("paid_time")); paid.Unix() < before || paid.Unix() > time.Now().Unix() {
		t.Errorf("paid_time is %s", paid)
	}
}
