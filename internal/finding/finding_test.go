package finding_test

import (
	"testing"

	"github.com/capture-worker/capture-worker/internal/finding"
)

func TestString(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]finding.Finding{
		"stream A leaks":                     {What: "stream A leaks"},
		"stream A leaks; use file storage":   {Severity: finding.Error, Area: "jobs", What: "stream A leaks", Fix: "use file storage"},
		"the clock is late; synchronize it":  {What: "the clock is late", Fix: "synchronize it"},
		"nats.url is empty; name the server": {Area: "nats.url", What: "nats.url is empty", Fix: "name the server"},
	} {
		if got := f.String(); got != want {
			t.Errorf("%+v is %q, want %q", f, got, want)
		}
	}
}

func TestWorst(t *testing.T) {
	t.Parallel()
	ok, warning, bad := finding.Finding{Severity: finding.OK}, finding.Finding{Severity: finding.Warning}, finding.Finding{Severity: finding.Error}
	for _, tc := range []struct {
		found    []finding.Finding
		worst    finding.Severity
		warnings int
	}{
		{nil, finding.OK, 0},
		{[]finding.Finding{ok, ok}, finding.OK, 0},
		{[]finding.Finding{warning, ok, warning}, finding.Warning, 2},
		{[]finding.Finding{warning, bad, ok}, finding.Error, 1},
	} {
		if got := finding.Worst(tc.found); got != tc.worst {
			t.Errorf("the worst of %v is %s, want %s", tc.found, got, tc.worst)
		}
		if got := finding.Count(tc.found, finding.Warning); got != tc.warnings {
			t.Errorf("%v has %d warnings, want %d", tc.found, got, tc.warnings)
		}
	}
}
