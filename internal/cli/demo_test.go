package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/internal/demo"
)

// The demo with both output formats and every preset of faults.
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
			var result demo.Result
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
