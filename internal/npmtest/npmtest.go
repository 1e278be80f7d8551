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

// unreachable finds npm's word for a registry that cannot be reached.
var unreachable = regexp.MustCompile(`\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT)\b`)

// Install copies package.json and package-lock.json from a folder into one of
// the test's own, installs there what the lock names, and returns that folder.
// Without node and npm, and where the registry cannot be reached, the test is
// skipped: a fresh machine may have Go only. Any other failure is one.
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
	// Downloading has no bound but npm's own, and that of the test run.
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
