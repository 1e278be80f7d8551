// Package npmtest installs the npm packages that a test needs.
package npmtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// unreachable matches npm's errors for a registry that cannot be reached.
var unreachable = regexp.MustCompile(`\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT)\b`)

// Install copies package.json and package-lock.json from a folder to a temporary
// one, installs the locked packages there, and returns the temporary folder.
// Without node and npm, or if the registry cannot be reached, the test is skipped,
// because a new machine may have Go only. Any other failure fails the test.
func Install(t *testing.T, from string) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		processtest.Needs(t, program, "apt-get install nodejs npm")
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The download is limited by npm's own timeouts and that of the test run.
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund",
		"--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000")
	npm.Dir = dir
	npm.WaitDelay = 5 * time.Second
	out, err := npm.CombinedOutput()
	switch {
	case err == nil:
		return dir
	case unreachable.Match(out):
		t.Skipf("left out: the npm registry cannot be reached: %s", unreachable.Find(out))
	}
	t.Fatalf("npm ci: %v\n%s", err, out)
	return ""
}
