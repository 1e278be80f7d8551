package processtest

import (
	"os"
	"os/exec"
	"testing"
)

// Long is the first line of a test that `make test` has no time for: it runs in
// `make verify`, and wherever CAPTURE_TEST=verify is set.
func Long(t *testing.T) {
	t.Helper()
	if !Verify() {
		t.Skip("run by make verify")
	}
}

// Verify reports whether the long tests are run.
func Verify() bool { return os.Getenv("CAPTURE_TEST") == "verify" }

// Needs finds an optional program, or skips the test. What is left out for the
// lack of which program is listed at the end of make test.
func Needs(t *testing.T, program, install string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("left out: %s is not installed (%s)", program, install)
	}
	return path
}
