package cli

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// TestJobsPageWorksPasted pastes the commands of docs/jobs.md one after the other
// into an empty folder, with an empty server. Blocks with programs that are not
// installed here are left out.
func TestJobsPageWorksPasted(t *testing.T) {
	processtest.Long(t)
	page, err := os.ReadFile("../../docs/jobs.md")
	if err != nil {
		t.Fatal(err)
	}
	s, err := natsserver.Start(natsserver.Options{StoreDir: filepath.Join(t.TempDir(), "nats")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	bin, folder := t.TempDir(), t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "capture-worker"), "../../cmd/capture-worker").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	blocks, pasted := shellBlock.FindAllSubmatch(page, -1), 0
	var script strings.Builder
	for _, block := range blocks {
		text := string(block[1])
		if missing := notInstalled(text); missing != "" {
			t.Logf("left out: %s is not installed:\n%s", missing, text)
			continue
		}
		pasted++
		script.WriteString(text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), processtest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-ex")
	cmd.Stdin, cmd.Dir = strings.NewReader(script.String()), folder
	cmd.Env = []string{"HOME=" + folder, "PATH=" + bin + ":" + os.Getenv("PATH"), "CAPTURE_NATS_URL=" + s.URL(), "NATS_URL=" + s.URL()}
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("refused:")) || pasted < 3 {
		t.Errorf("%d of %d blocks: %v\n%s", pasted, len(blocks), err, out)
	}
}

// notInstalled returns a program of other makers that the commands use and that is
// not installed.
func notInstalled(text string) string {
	for _, program := range []string{"nats", "jq"} {
		if !regexp.MustCompile(`(?m)(^|\| )` + program + ` `).MatchString(text) {
			continue
		}
		if _, err := exec.LookPath(program); err != nil {
			return program
		}
	}
	return ""
}
