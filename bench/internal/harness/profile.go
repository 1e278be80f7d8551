package harness

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/fixture"
)

const profileSeconds = 2

var adminAddress = regexp.MustCompile(`serving metrics and health" address=(\S+)`)

// profile takes a CPU profile of capture-worker while it works, if that is
// wanted. It continues beside the round, which waits for it at its end.
func (a *Harness) profile(ctx context.Context, c candidate, p *fixture.Process) {
	if a.cfg.Profiles == "" || !strings.HasPrefix(c.name, CaptureWorker) {
		return
	}
	log, _ := os.ReadFile(p.Log)
	address := adminAddress.FindSubmatch(log)
	if address == nil {
		a.say("no profile of %s: it serves no admin listener", c.name)
		return
	}
	path := filepath.Join(a.cfg.Profiles, fmt.Sprintf("%s-%d.pprof", c.name, p.PID()))
	a.profiling.Go(func() {
		if err := fetchProfile(ctx, string(address[1]), path); err != nil {
			a.say("no profile of %s: %v", c.name, err)
		}
	})
}

func fetchProfile(ctx context.Context, address, path string) error {
	ctx, cancel := context.WithTimeout(ctx, (profileSeconds+5)*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", address, profileSeconds), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(file, resp.Body)
	return err
}
