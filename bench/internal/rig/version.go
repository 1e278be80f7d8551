package rig

import (
	"debug/buildinfo"
	"fmt"
	"os/exec"
	"strings"
)

// ModuleVersion returns the version of a module that a Go program was built
// with, "" where it was built without.
func ModuleVersion(program, module string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return ""
	}
	for _, dep := range append(info.Deps, &info.Main) {
		if dep.Path == module {
			return dep.Version
		}
	}
	return ""
}

// Commit returns the commit of the sources in a folder, and whether they were
// changed since.
func Commit(folder string) string {
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", append([]string{"-C", folder}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("rev-parse", "--short=12", "HEAD")
	if err != nil {
		return "of unknown commit"
	}
	if changes, err := git("status", "--porcelain", "--untracked-files=no"); err != nil || changes != "" {
		return commit + " with changes"
	}
	return commit
}

// FirstLine runs a program that tells its version, and returns what it says.
func FirstLine(program string, args ...string) string {
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		return fmt.Sprintf("unknown (%v)", err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
