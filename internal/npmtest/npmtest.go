// Package npmtest installs the npm packages that a test needs.
package npmtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// bound is far above what the few small packages of the tests take.
const bound = 3 * time.Minute

// unreachable finds npm's word for a registry that cannot be reached.
var unreachable = regexp.MustCompile(`\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT)\b`)

// Install copies package.json and package-lock.json from a folder into one of
// the test's own, installs there what the lock names, and returns that folder.
// Without node and npm, and where the registry cannot be reached, the test is
// skipped: a fresh machine may have Go only. Any other failure is one.
func Install(t *testing.T, from string) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("left out: %s is not installed", program)
		}
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
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund",
		"--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000")
	npm.Dir = dir
	npm.WaitDelay = 5 * time.Second
	out, err := npm.CombinedOutput()
	switch {
	case err == nil:
		return dir
	case unreachable.Match(out):
		t.Skipf("left out: the npm registry cannot be reached: %s", unreachable.Find(out))
	case ctx.Err() != nil:
		t.Fatalf("npm ci did not end within %s", bound)
	}
	t.Fatalf("npm ci: %v\n%s", err, out)
	return ""
}
