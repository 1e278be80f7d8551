package contest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// The vector of the gateway's PHP library.
func TestSignAgreesWithTheGatewaysLibrary(t *testing.T) {
	s := NewSigner("016683", "example-secret-key")
	job := Job{TradeID: "160899f3", Amount: "1", Currency: "EUR", Description: `café & co = "x" <b> /`}
	const want = "3b0e9b056ff8553a9e9f9976df7901685e6ca3cf5795f72f01b61107a5532f97"
	for range 2 { // the second takes the pooled hash
		if got := s.sign(job, "ca51f2fas3i0f8uiw7efj6oe4i2w1ghj", 1720684254); string(got[:]) != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

// What is posted, read as JSON, is what was signed.
func TestAppendCapture(t *testing.T) {
	for name, job := range map[string]Job{
		"plain":   {TradeID: "T1", Amount: "24.99", Currency: "EUR", Description: "order A-1"},
		"hostile": {TradeID: "T1", Amount: "1", Currency: "EUR", Description: "café & \"co\" \\ <b>\t\u2028"},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSigner("016683", "example-secret-key")
			var got posted
			body := s.AppendCapture(nil, job)
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			read := Job{TradeID: got.Data["trade_id"], Amount: got.Data["amount"], Currency: got.Data["currency"], Description: got.Data["description"]}
			if sign := s.sign(read, got.Data["request_id"], got.Time); got.Sign != string(sign[:]) || read != job {
				t.Errorf("%+v, want the job %+v with the sign %s", got, job, sign)
			}
			if got.User != "016683" || got.Method != "v3.Capture" || len(got.Data["request_id"]) != 26 || len(got.Data) != 6 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// posted is a request as the gateway reads it.
type posted struct {
	User, Sign, Method string
	Time               int64
	Data               map[string]string
}

func TestCaptureTriesUntilPaid(t *testing.T) {
	const paid = `{"code":"200","data":{"state":"paid"}}`
	for name, tt := range map[string]struct {
		answers []string
		calls   int
		good    bool
	}{
		"paid":             {[]string{paid}, 1, true},
		"a number, PAID":   {[]string{`{"code":200,"data":{"state":"PAID"}}`}, 1, true},
		"pending, paid":    {[]string{`{"code":"200","data":{"state":"pending"}}`, paid}, 2, true},
		"error, not JSON":  {[]string{`{"code":"-1000","data":[]}`, `<html>`, paid}, 3, true},
		"never":            {[]string{"", "", "", paid}, 3, false},
		"a state, no code": {[]string{`{"data":{"state":"paid"}}`, paid}, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			ids, calls := map[string]bool{}, 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var got posted
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil || got.Data["trade_id"] != "T1" {
					t.Errorf("read %+v: %v", got, err)
				}
				ids[got.Data["request_id"]] = true
				_, _ = io.WriteString(w, tt.answers[calls])
				calls++
			}))
			defer server.Close()
			c := NewClient(Options{Gateway: server.URL, User: "u", Secret: "k", Concurrency: 1})
			defer c.Close()
			err := c.CaptureJSON(t.Context(), []byte(`{"trade_id":"T1","amount":"1","currency":"EUR"}`))
			if (err == nil) != tt.good || calls != tt.calls || len(ids) != tt.calls {
				t.Errorf("%v after %d calls with %d request ids; want good %v after %d", err, calls, len(ids), tt.good, tt.calls)
			}
		})
	}
}

func TestSummaryCountsAllAndSumsUpTheMiddle(t *testing.T) {
	s := NewSummary(Options{From: 10, To: 110})
	for i := range 200 {
		s.Add(time.Duration(i) * time.Millisecond)
	}
	var out bytes.Buffer
	if err := s.Write(&out, "n"); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), `{"jobs":200,"p50_ms":59,"p99_ms":108,"note":"n"}`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestJobsHaveTradesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for range 2 {
		for _, j := range Jobs(1000) {
			seen[j.TradeID] = true
		}
	}
	if len(seen) != 2000 {
		t.Errorf("%d trades for 2000 jobs", len(seen))
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
		if got := Percentile(c.values, c.p); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
