package capture_test

import (
	"os"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

func readJobsPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/jobs.md")
	if err != nil {
		t.Fatal(err)
	}
	// The members of a withdrawal, which has a section of its own, are not a job's.
	jobs, rest, ok := strings.Cut(string(page), "\n## Withdrawals\n")
	if !ok {
		t.Fatal("docs/jobs.md has no section Withdrawals")
	}
	_, after, _ := strings.Cut(rest, "\n## ")
	return jobs + "\n## " + after
}

func TestJobsPageNamesEverything(t *testing.T) {
	page := readJobsPage(t)
	for _, name := range append(capture.MalformedReasons(), capture.JobFields()...) {
		if strings.Count(page, "\n| `"+name+"` |") != 1 {
			t.Errorf("docs/jobs.md does not have exactly one table row for %q", name)
		}
	}
}

// The examples of the page are jobs, the foreign one under a mapping with the
// paths that the page gives.
func TestJobsPageExamplesDecode(t *testing.T) {
	mapped := shopMapping
	var read int
	// The foreign event is in a file that a command of the page writes.
	page := strings.NewReplacer("cat > event.json <<'END'\n", "```json\n", "\nEND\n", "\n```\n").Replace(readJobsPage(t))
	for _, part := range strings.Split(page, "```json\n")[1:] {
		example, _, _ := strings.Cut(part, "```")
		m := capture.Mapping{}
		if strings.Contains(example, `"kind"`) {
			m = mapped
		}
		job, err := decoderFor(t, m).Decode(nil, []byte(example))
		if err != nil {
			t.Errorf("%v:\n%s", err, example)
		}
		if m.Fields != nil && (job.Amount != euros(t, "24.90") || job.Description != "order 1001") {
			t.Errorf("the foreign event became %+v", job)
		}
		read++
	}
	if read != 3 {
		t.Errorf("found %d examples, want 3", read)
	}
}
