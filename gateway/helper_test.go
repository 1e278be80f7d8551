package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

const (
	user   = "016683"
	secret = gateway.Secret("example-secret-key")
	trade  = "160899f3-f6d9-a8d8-ab5b-82eacdab9c5b"
)

func money(t testing.TB, number, code string) capture.Amount {
	t.Helper()
	a, err := capture.ParseAmount(number, code)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(t testing.TB) gateway.CaptureRequest {
	return gateway.CaptureRequest{
		TradeID: trade, Amount: money(t, "24.90", "EUR"), Description: "order A-1001",
		RequestID: "ca51f2fas3i0f8uiw7efj6oe4i2w1ghj",
	}
}

// dial makes a client of a URL; change may alter its configuration.
func dial(t testing.TB, url string, change func(*gateway.Config)) *gateway.Client {
	t.Helper()
	config := gateway.Config{
		URL: url, User: user, SecretKey: secret, Timeout: processtest.Patience,
		Clock: func() time.Time { return time.Unix(1720684254, 0) },
	}
	if change != nil {
		change(&config)
	}
	c, err := gateway.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// serve starts a gateway that answers as the handler does.
func serve(t testing.TB, h http.HandlerFunc) *gateway.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return dial(t, s.URL+"/Payments", nil)
}

// saying answers every call with a status and a body.
func saying(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}
