package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/config"
)

var update = flag.Bool("update", false, "rewrite the golden files and the table of docs/configuration.md")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// env is an environment with nothing else in it.
func env(entries ...string) func() []string {
	return func() []string { return entries }
}

// write puts text into a file of the test's own.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// flags parses arguments with the flags of all keys.
func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

// load fails the test on any problem.
func load(t *testing.T, o config.Options) config.Config {
	t.Helper()
	if o.Env == nil {
		o.Env = env()
	}
	c, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// golden compares text with testdata/name, where paths of temporary folders
// have become DIR.
func golden(t *testing.T, name, got string, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		got = strings.ReplaceAll(got, dir, "DIR")
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -update to accept)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}
