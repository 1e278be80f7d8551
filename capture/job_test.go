package capture_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

func TestJobDeadline(t *testing.T) {
	at := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	end := at.Add(30 * 24 * time.Hour)
	tests := []struct {
		name                     string
		authorized, before, want time.Time
	}{
		{"neither", time.Time{}, time.Time{}, time.Time{}},
		{"authorized only", at, time.Time{}, end},
		{"capture before only", time.Time{}, at, at},
		{"the job's is earlier", at, end.Add(-time.Second), end.Add(-time.Second)},
		{"the window is earlier", at, end.Add(time.Second), end},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (capture.Job{AuthorizedAt: tt.authorized, CaptureBefore: tt.before}).Deadline(capture.AuthorizationWindow); !got.Equal(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestJobJSONOmitsWhatIsNotThere(t *testing.T) {
	b, err := json.Marshal(capture.Job{TradeID: "T1", Amount: euros(t, "5")})
	if want := `{"trade_id":"T1","amount":"5.00","currency":"EUR"}`; err != nil || string(b) != want {
		t.Errorf("got %s, %v; want %s", b, err, want)
	}
}

func TestJobFromTheLedgerNeedsItsMoney(t *testing.T) {
	for _, bad := range []string{
		`{"trade_id":"T1"}`, `{"trade_id":"T1","amount":"x","currency":"EUR"}`,
		`{"trade_id":"T1","amount":"5","currency":"EUR","authorized_amount":"-1"}`,
	} {
		var j capture.Job
		if err := json.Unmarshal([]byte(bad), &j); !errors.Is(err, capture.ErrAmount) {
			t.Errorf("%s: got %+v, %v; want ErrAmount", bad, j, err)
		}
	}
}
