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
	s := newSigner("016683", "example-secret-key")
	r := request{User: "016683", Method: method, Time: 1720684254, Data: data{
		TradeID: "160899f3", Amount: "1", Currency: "EUR",
		Description: `café & co = "x" <b> /`, RequestID: "ca51f2fas3i0f8uiw7efj6oe4i2w1ghj",
	}}
	const want = "3b0e9b056ff8553a9e9f9976df7901685e6ca3cf5795f72f01b61107a5532f97"
	for range 2 { // the second takes the pooled hash
		if got := s.sign(r); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
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
				var got request
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil || got.Data.TradeID != "T1" {
					t.Errorf("read %+v: %v", got, err)
				}
				ids[got.Data.RequestID] = true
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
