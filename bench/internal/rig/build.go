package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build compiles a main package into a folder and returns the program's path.
// The package is named as `go build` run in the module's folder names it.
func Build(ctx context.Context, module, pkg, into, name string) (string, error) {
	path := filepath.Join(into, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, pkg)
	cmd.Dir = module
	// A module of its own is not part of a workspace that happens to be around.
	// Without cgo, as the image has it: a C library is a megabyte and a half.
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s in %s: %w\n%s", pkg, module, err, strings.TrimSpace(string(out)))
	}
	return path, nil
}
