package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// linkedVersion is the version that the linker set. If it is empty, the version
// of the module counts, which `go install module@version` records.
var linkedVersion string

// build is the version of the program and its origin.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"commit_time,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from files that were not committed
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuild() build {
	b := build{Version: linkedVersion, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok && b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func newVersionCmd(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  capture-worker version\n  capture-worker version -o json",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`format`: text or json")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		return printBuild(cmd, readBuild(), output)
	})
	return cmd
}

func printBuild(cmd *cobra.Command, b build, format string) error {
	out := cmd.OutOrStdout()
	switch format {
	case "json":
		return writeJSON(out, b)
	case "text":
		_, err := io.WriteString(out, b.text())
		return err
	}
	return usageError("--output is %q: must be text or json", format)
}

func (b build) text() string {
	commit := ""
	if b.Commit != "" {
		changed := ""
		if b.Modified {
			changed = ", with changes"
		}
		commit = fmt.Sprintf("commit %s of %s%s\n", b.Commit, b.Time, changed)
	}
	return fmt.Sprintf("capture-worker %s\n%s%s %s\n", b.Version, commit, b.Go, b.Platform)
}
