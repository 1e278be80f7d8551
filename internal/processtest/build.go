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
// packages whose tests start it share the file: the first one builds it, and
// for the others `go build` finds that it is up to date. It has no bound of its
// own: on a cold machine it downloads and compiles all that the program is made
// of, and the bound of the test run ends what is stuck.
func Build(pkg string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	file := filepath.Join(root, "bin", "test", path.Base(pkg))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", fmt.Errorf("making a folder for the programs: %w", err)
	}
	lock, err := os.OpenFile(file+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("locking %s: %w", file, err)
	}
	defer lock.Close() // and with it the lock is gone
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking %s: %w", file, err)
	}
	// Without the state of the work tree in it: a commit is no reason to link again.
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", file, pkg).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return file, nil
}
