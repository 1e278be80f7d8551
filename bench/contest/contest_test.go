package contest_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/bench/contest"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

const (
	user   = "016683"
	secret = "test-key"
)

// The signature is compared with that of the package that capture-worker uses.
func TestAppendCapture(t *testing.T) {
	for name, job := range map[string]contest.Job{
		"plain":   {TradeID: "T1", Amount: "24.99", Currency: "EUR", Description: "order A-1"},
		"hostile": {TradeID: "T1", Amount: "1", Currency: "EUR", Description: "café & \"co\" \\ <b>\t\u2028"},
	} {
		t.Run(name, func(t *testing.T) {
			var got struct {
				User, Sign, Method string
				Time               int64
				Data               map[string]string
			}
			body := contest.NewSigner(user, secret).AppendCapture(nil, job)
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			if want := gateway.Sign(secret, gateway.Params(user, "v3.Capture", got.Time, got.Data)); got.Sign != want {
				t.Errorf("sign %s, want %s", got.Sign, want)
			}
			if got.Data["description"] != job.Description || len(got.Data["request_id"]) != 26 || len(got.Data) != 6 {
				t.Errorf("data %v", got.Data)
			}
		})
	}
}

func TestClientAgainstTheSimulator(t *testing.T) {
	sim := gatewaytest.New(gatewaytest.Options{User: user, Secret: secret, AutoCreate: true})
	defer sim.Close()
	server := httptest.NewServer(sim)
	defer server.Close()
	client := contest.NewClient(contest.Options{Gateway: server.URL + gatewaytest.PaymentsPath, User: user, Secret: secret, Concurrency: 8})
	defer client.Close()
	var all sync.WaitGroup
	for i := range 40 { // enough for the code to come as a string and as a number
		all.Go(func() {
			job := contest.Job{TradeID: "T" + strings.Repeat("x", i+1), Amount: "24.99", Currency: "EUR", Description: "order"}
			if err := client.Capture(t.Context(), job); err != nil {
				t.Error(err)
			}
			if err := client.CaptureRetrying(t.Context(), job); err == nil {
				t.Error("a second capture passed for a paid one")
			}
		})
	}
	all.Wait()
	if stats := sim.Stats(); stats.Effects != 40 || stats.Captures != 40*(1+3) {
		t.Errorf("stats %+v, want 40 captures and three tries of each second one", stats)
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		name   string
		values []time.Duration
		p      float64
		want   time.Duration
	}{
		{"none", nil, 99, 0}, {"one", hundred[:1], 99, 1}, {"one, low", hundred[:1], 1, 1},
		{"median of two", hundred[:2], 50, 1}, {"median", hundred, 50, 50}, {"p99", hundred, 99, 99},
		{"p99 of ten", hundred[:10], 99, 10}, {"all", hundred, 100, 100},
	} {
		if got := contest.Percentile(c.values, c.p); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestSummaryOfAPart(t *testing.T) {
	s := contest.NewSummary(contest.Options{From: 2, To: 4})
	for _, took := range []time.Duration{time.Hour, time.Hour, 4 * time.Millisecond, 3 * time.Millisecond, time.Hour} {
		s.Add(took)
	}
	var out bytes.Buffer
	if err := s.Write(&out, "one request"); err != nil {
		t.Fatal(err)
	}
	var got contest.Report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if want := (contest.Report{Jobs: 5, P50: 3, P99: 4, Note: "one request"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if bytes.Count(out.Bytes(), []byte("\n")) != 1 {
		t.Errorf("not one line: %s", out.Bytes())
	}
}
