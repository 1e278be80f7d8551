package processtest

import (
	"os"
	"os/exec"
	"testing"
)

// Long skips a test that is too long for `make test`. It runs in `make verify` and
// with CAPTURE_TEST=verify. It must be the first line of the test.
func Long(t *testing.T) {
	t.Helper()
	if !Verify() {
		t.Skip("run by make verify")
	}
}

// Verify reports whether the long tests run.
func Verify() bool { return os.Getenv("CAPTURE_TEST") == "verify" }

// Needs returns the path of an optional program, or skips the test. `make test`
// lists the skipped tests with their programs at the end.
func Needs(t *testing.T, program, install string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("left out: %s is not installed (%s)", program, install)
	}
	return path
}
