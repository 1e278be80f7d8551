//go:build unix

package processtest

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"syscall"
)

// Build builds a program and returns its file, bin/test/NAME in the module. The
// packages whose tests start it share the file: the first one builds it, for the
// others `go build` finds it up to date. It has no timeout, because on a new
// machine it downloads and compiles all dependencies; the timeout of the test run
// applies.
func Build(pkg string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	file := filepath.Join(root, "bin", "test", path.Base(pkg))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", fmt.Errorf("creating the folder for the programs: %w", err)
	}
	lock, err := os.OpenFile(file+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("locking %s: %w", file, err)
	}
	defer lock.Close() // closing releases the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking %s: %w", file, err)
	}
	// Without the version of the work tree, so that a commit does not cause a new
	// link.
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", file, pkg).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return file, nil
}
