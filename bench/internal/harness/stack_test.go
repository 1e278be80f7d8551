package harness

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
)

// A job fits a stack of 8 KiB: one frame too many and each has 16, of which the
// collector takes half away again and again (docs/decisions/050). The race
// detector makes frames larger, so this is measured where nothing runs under it.
func TestAJobFitsASmallStack(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("programs are started as on Linux")
	}
	const slots, jobs, most = 128, 6000, 9 << 10
	ctx := t.Context() // programs are downloaded and built in it
	a, err := Open(ctx, Config{Root: "../../..", Candidates: []string{CaptureWorker}, Dir: t.TempDir(), Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := a.filled(ctx, jobs, map[string]any{"latency": "20ms"}); err != nil {
		t.Fatal(err)
	}
	p, err := a.startWorker(slots)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.history(ctx, p, func(c fixture.Counts) bool { return c.Effects >= jobs/2 }); err != nil {
		t.Error(err)
	}
	stacks, goroutines, err := stacksOf(ctx, p)
	if _, stopErr := p.Stop(); stopErr != nil || err != nil {
		t.Fatal(err, stopErr)
	}
	t.Logf("%.0f goroutines with %.0f bytes of stack each", goroutines, stacks/goroutines)
	if goroutines < 2*slots || stacks/goroutines > most {
		t.Errorf("%.0f goroutines with %.0f bytes of stack each; want more than %d, with %d at most", goroutines, stacks/goroutines, 2*slots, most)
	}
}

// stacksOf reads the metrics of a worker.
func stacksOf(ctx context.Context, p *fixture.Process) (stacks, goroutines float64, err error) {
	log, _ := os.ReadFile(p.Log)
	address := adminAddress.FindSubmatch(log)
	if address == nil {
		return 0, 0, fmt.Errorf("it serves no metrics: %s", p.Tail())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/metrics", address[1]), nil)
	if err != nil {
		return 0, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	number := func(name string) float64 {
		found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
		if found == nil {
			err = fmt.Errorf("there is no %s", name)
			return 0
		}
		n, _ := strconv.ParseFloat(string(found[1]), 64)
		return n
	}
	return number("go_memstats_stack_inuse_bytes"), number("go_goroutines"), err
}
