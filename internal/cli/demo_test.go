package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// A hostile day of 2,000 orders with notifications on: every trade is settled,
// every ledger keeps the rules and agrees with the gateway's truth.
func TestHostileDay(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	o := demoOptions{jobs: 2000, faults: "hostile", seed: 11, latency: 10 * time.Millisecond}
	result, err := runDemo(t.Context(), o, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range result.Audit.Violations {
		t.Error(v)
	}
	a := result.Audit
	if !result.Clean || a.Trades != 2000 || a.Unsettled != 0 || a.Captured+a.Failed+a.Parked != 2000 {
		t.Errorf("the audit: %+v", a)
	}
	if int64(a.Captured) > result.Gateway.Effects || result.Gateway.Faults < 200 || result.Gateway.Notifications < 500 {
		t.Errorf("%d captured, the gateway counted %+v: not the day that was meant", a.Captured, result.Gateway)
	}
}

// The demo as a person and as a program runs it, in each mood of the gateway.
func TestDemoCommand(t *testing.T) {
	t.Parallel()
	for _, faults := range []string{"calm", "rough", "hostile"} {
		t.Run(faults, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			args := []string{"demo", "--faults", faults, "--jobs", "40", "--seed", "5", "-o", "json"}
			if code := run(t.Context(), args, strings.NewReader(""), &out, &errs); code != exitGood {
				t.Fatalf("exit code %d: %s", code, errs.String())
			}
			var result demoResult
			if err := json.Unmarshal(out.Bytes(), &result); err != nil || !result.Clean || result.Audit.Trades != 40 || result.Faults != faults {
				t.Errorf("%v: %s", err, out.String())
			}
		})
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"demo", "--faults", "calm", "--jobs", "5"}, strings.NewReader(""), &out, &errs); code != exitGood {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, says := range []string{"captured", "money captured", "audit: clean", "What to try next"} {
		if !strings.Contains(out.String(), says) {
			t.Errorf("it does not say %q:\n%s", says, out.String())
		}
	}
}

func TestDemoRefusesNonsense(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--faults", "awful"}, {"--jobs", "0"}, {"--latency", "-1s"}, {"--output", "xml"}, {"extra"},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"demo"}, args...), strings.NewReader(""), &out, &errs); code != exitUsage || errs.Len() == 0 {
			t.Errorf("%v: exit code %d, %q", args, code, errs.String())
		}
	}
}
