package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

// TestRetryAfter checks that Retry-After is read as seconds or a date, with the two
// statuses for overload only, up to the limit.
func TestRetryAfter(t *testing.T) {
	now := time.Unix(1720684254, 0) // the clock of dial
	in := func(d time.Duration) string { return now.Add(d).UTC().Format(http.TimeFormat) }
	for name, tt := range map[string]struct {
		status int
		header string
		want   time.Duration
	}{
		"seconds":           {429, "7", 7 * time.Second},
		"seconds of a 503":  {503, " 120 ", 2 * time.Minute},
		"date":              {503, in(90 * time.Second), 90 * time.Second},
		"date gone by":      {429, in(-time.Hour), 0},
		"bounded seconds":   {429, "86400", gateway.MaxRetryAfter},
		"beyond any number": {429, strings.Repeat("9", 40), gateway.MaxRetryAfter},
		"bounded date":      {429, in(48 * time.Hour), gateway.MaxRetryAfter},
		"no header":         {429, "", 0},
		"no time":           {429, "soon", 0},
		"negative":          {429, "-5", 0},
		"other status":      {200, "7", 0},
		"other error":       {502, "7", 0},
	} {
		t.Run(name, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", tt.header)
				w.WriteHeader(tt.status)
			})
			got := client.Capture(t.Context(), request(t))
			if got.Kind != capture.AnswerUnknown || got.RetryAfter != tt.want {
				t.Errorf("got %s and a wait of %s, want %s", got.Kind, got.RetryAfter, tt.want)
			}
		})
	}
}

// TestContentEncoding checks that compressed answers are not requested, and that
// one that comes is refused with its encoding in the error.
func TestContentEncoding(t *testing.T) {
	const paid = `{"status":true,"code":"200","data":{"trade_id":"` + trade + `","amount":"24.90","currency":"EUR","state":"paid"}}`
	for encoding, kind := range map[string]capture.AnswerKind{
		"gzip": capture.AnswerUnknown, "br, gzip": capture.AnswerUnknown, "identity": capture.AnswerDone, "": capture.AnswerDone,
	} {
		t.Run(encoding, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Accept-Encoding"); got != "identity" {
					t.Errorf("asked for %q", got)
				}
				w.Header().Set("Content-Encoding", encoding)
				w.Write([]byte(paid))
			})
			got := client.Capture(t.Context(), request(t))
			if got.Kind != kind || kind == capture.AnswerUnknown && (got.Code != "" || !strings.Contains(got.Why, encoding)) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
