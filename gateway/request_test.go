package gateway_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

type received struct {
	http *http.Request
	body struct {
		User, Sign, Method string
		Time               json.Number
		Data               map[string]string
	}
}

// spy keeps what arrived and answers with -1000.
func spy(t *testing.T) (*gateway.Client, *received) {
	got := new(received)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		got.http = r
		if err := json.NewDecoder(r.Body).Decode(&got.body); err != nil {
			t.Errorf("the body is not a JSON object: %v", err)
		}
		io.WriteString(w, refusal("-1000"))
	}), got
}

func TestCaptureSendsWhatItSigns(t *testing.T) {
	client, got := spy(t)
	r := request(t)
	r.Description = "café & co = \"x\" <b> / \xff broken"
	r.NotifyURL = "https://shop.example/notify?a=1"
	client.Capture(t.Context(), r)

	want := map[string]string{
		"trade_id": trade, "amount": "24.90", "currency": "EUR", "request_id": r.RequestID,
		"notify_url": r.NotifyURL, "description": "café & co = \"x\" <b> / \uFFFD broken",
	}
	for name, value := range want {
		if got.body.Data[name] != value {
			t.Errorf("%s is %q, want %q", name, got.body.Data[name], value)
		}
	}
	if len(got.body.Data) != len(want) || got.body.User != user || got.body.Method != "v3.Capture" || got.body.Time != "1720684254" {
		t.Errorf("body %+v", got.body)
	}
	if sign := gateway.Sign(secret, gateway.Params(user, "v3.Capture", 1720684254, got.body.Data)); got.body.Sign != sign {
		t.Errorf("sign %s, want %s", got.body.Sign, sign)
	}
}

// A required field is not sent empty.
func TestCaptureSendsADescription(t *testing.T) {
	client, got := spy(t)
	r := request(t)
	r.Description = ""
	client.Capture(t.Context(), r)
	if got.body.Data["description"] != "capture of "+trade {
		t.Errorf("description %q", got.body.Data["description"])
	}
}

func TestQuerySendsTheTradeAlone(t *testing.T) {
	client, got := spy(t)
	client.Query(t.Context(), trade)
	if len(got.body.Data) != 1 || got.body.Data["trade_id"] != trade || got.body.Method != "v3.QueryOrder" {
		t.Errorf("body %+v", got.body)
	}
}

func TestRequestIsOnePlainPOST(t *testing.T) {
	client, got := spy(t)
	client.Capture(t.Context(), request(t))
	r := got.http
	if r.Method != http.MethodPost || r.URL.Path != "/Payments" || r.Proto != "HTTP/1.1" || r.ContentLength <= 0 {
		t.Errorf("%s %s %s, %d bytes", r.Method, r.URL, r.Proto, r.ContentLength)
	}
	if r.Header.Get("Content-Type") != "application/json" || r.UserAgent() != "capture-worker" {
		t.Errorf("headers %v", r.Header)
	}
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key", "Expect"} {
		if _, sent := r.Header[name]; sent {
			t.Errorf("sends %s", name)
		}
	}
}

func TestIncompleteRequestIsNotSent(t *testing.T) {
	client := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	for name, empty := range map[string]func(*gateway.CaptureRequest){
		"trade":      func(r *gateway.CaptureRequest) { r.TradeID = "" },
		"amount":     func(r *gateway.CaptureRequest) { r.Amount = capture.Amount{} },
		"request_id": func(r *gateway.CaptureRequest) { r.RequestID = "" },
	} {
		r := request(t)
		empty(&r)
		if got := client.Capture(t.Context(), r); got.Kind != capture.AnswerNotSent || got.Why == "" {
			t.Errorf("without %s: %+v", name, got)
		}
	}
	if got := client.Query(t.Context(), ""); got.Kind != capture.AnswerNotSent {
		t.Errorf("query without trade: %+v", got)
	}
}

func TestSecretIsReplacedWhileCallsRun(t *testing.T) {
	var mu sync.Mutex
	signedWith := map[gateway.Secret]int{}
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var got received
		json.NewDecoder(r.Body).Decode(&got.body)
		for _, s := range []gateway.Secret{secret, "the-new-key"} {
			if got.body.Sign == gateway.Sign(s, gateway.Params(user, got.body.Method, 1720684254, got.body.Data)) {
				mu.Lock()
				signedWith[s]++
				mu.Unlock()
			}
		}
		io.WriteString(w, refusal("-1000"))
	})
	client.Query(t.Context(), trade)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { client.Query(t.Context(), trade) })
	}
	if err := client.SetSecret("the-new-key"); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := client.SetSecret(""); !errors.Is(err, gateway.ErrConfig) {
		t.Errorf("an empty key: %v", err)
	}
	client.Query(t.Context(), trade)
	if signedWith[secret] < 1 || signedWith["the-new-key"] < 1 || signedWith[secret]+signedWith["the-new-key"] != 10 {
		t.Errorf("signed with %d old, %d new", signedWith[secret], signedWith["the-new-key"])
	}
}

func TestAnswerHoldsNoSecretAndNoUnprintableText(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		var got received
		json.NewDecoder(r.Body).Decode(&got.body)
		text := "wrong sign " + got.body.Sign + " / " + strings.ToUpper(got.body.Sign) + " for " + string(secret) + "\x1b[31m\n" + strings.Repeat("é", 300)
		info := map[string]string{"trade_id": trade, "state": got.body.Sign, "order_id": text, "transaction_id": text, "paid_time": text}
		json.NewEncoder(w).Encode(map[string]any{"status": true, "code": "200", "message": text, "response_id": text,
			"data": map[string]any{"trade_id": text, "state": "paid", "transaction_info": info}})
	}
	client := serve(t, echo)
	for _, got := range []capture.Answer{client.Capture(t.Context(), request(t)), client.Query(t.Context(), trade)} {
		all, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(all); strings.Contains(text, string(secret)) || strings.Contains(text, `u001b`) || strings.Contains(text, `\n`) {
			t.Errorf("unsafe: %s", text)
		}
		if !strings.HasPrefix(got.Message, "wrong sign [hidden] / [hidden] for [hidden]") {
			t.Errorf("message %q", got.Message)
		}
		if len(got.Message) > 200 || len(got.ResponseID) > 128 || len(got.Why) > 300 || !utf8.ValidString(got.Message) {
			t.Errorf("too long: %d, %d, %d", len(got.Message), len(got.ResponseID), len(got.Why))
		}
		assertNoHex(t, string(all))
	}
}

func TestAnswerHoldsNoSignatureEchoedInAHeader(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var got received
		json.NewDecoder(r.Body).Decode(&got.body)
		w.Header().Set("Retry-After", got.body.Sign)
		w.WriteHeader(http.StatusTooManyRequests)
	})
	got := client.Query(t.Context(), trade)
	if !strings.Contains(got.Why, "(Retry-After [hidden])") {
		t.Errorf("why %q", got.Why)
	}
}

// assertNoHex looks for anything as long as a good part of a signature.
func assertNoHex(t *testing.T, text string) {
	t.Helper()
	run := 0
	for _, r := range text {
		if !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			run = 0
			continue
		}
		if run++; run >= 24 {
			t.Errorf("holds hex digits like a signature's: %s", text)
			return
		}
	}
}
