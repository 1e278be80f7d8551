package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/internal/natsserver"
)

// TestExitCodes holds the codes that scripts and schedulers rely on.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	s, err := natsserver.Start(natsserver.Options{StoreDir: filepath.Join(dir, "nats")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	t.Setenv("CAPTURE_NATS_URL", s.URL())
	good, bad := filepath.Join(dir, "good.csv"), filepath.Join(dir, "bad.csv")
	for path, text := range map[string]string{
		good: "trade_id,amount,currency\nt-1,1.00,EUR\n",
		bad:  "trade_id,amount,currency\nt-1,1.00,EUR\nt-2,-1,EUR\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{}, exitGood},
		{[]string{"--help"}, exitGood},
		{[]string{"version"}, exitGood},
		{[]string{"nonsense"}, exitUsage},
		{[]string{"version", "--nonsense"}, exitUsage},
		{[]string{"version", "-o", "nonsense"}, exitUsage},
		{[]string{"publish"}, exitUsage},
		{[]string{"config", "--worker-concurrency", "none"}, exitUsage},
		{[]string{"config", "--worker-concurrency", "0"}, exitUsage},
		{[]string{"publish", good, "--subject", "a b"}, exitUsage},
		{[]string{"publish", filepath.Join(dir, "none.csv")}, exitFailed},
		{[]string{"publish", good}, exitFailed}, // no stream yet
		{[]string{"publish", good, "--create"}, exitGood},
		{[]string{"publish", good}, exitGood},
		{[]string{"publish", bad}, exitFailed},
		{[]string{"publish", bad, "--dry-run"}, exitFound},
		{[]string{"publish", bad, "--skip-bad"}, exitFound},
	} {
		var out, errs bytes.Buffer
		if got := run(t.Context(), tt.args, strings.NewReader(""), &out, &errs); got != tt.want {
			t.Errorf("%q: exit code %d, want %d\n%s%s", tt.args, got, tt.want, &out, &errs)
		}
		if told := errs.Len() > 0; tt.want != exitGood && !told {
			t.Errorf("%q: failed without a word", tt.args)
		}
	}
}

// The help of every command tells its exit codes, in the same words where they
// mean the same.
func TestHelpTellsExitCodes(t *testing.T) {
	tell := regexp.MustCompile(`(?s)\n\nExit codes: 0 [^;]+; 1 [^;]+; 2 wrong\susage\sor\sconfiguration(; 3 [^;]+)?\.`)
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if n := strings.Count(cmd.Long, "Exit code"); !cmd.HasSubCommands() && (n != 1 || !tell.MatchString(cmd.Long)) {
			t.Errorf("%s --help: %q", cmd.CommandPath(), cmd.Long)
		}
	}
	walk(newRootCmd(&app{}))
}
