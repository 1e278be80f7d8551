//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// TestStartedByEnvironmentAlone is an acceptance test: the environment variables of the design start it without a file.
func TestStartedByEnvironmentAlone(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSim(t)
	w := startWorker(t, "env", necessary(b, s))
	works(t, b, s, w)
}

// TestStartedByFlags is an acceptance test: flags start it without a file; the secret has no flag and comes
// from a file of its own.
func TestStartedByFlags(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSim(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(simSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, "flags", []string{"CAPTURE_GATEWAY_SECRET_KEY_FILE=" + secret},
		"--nats-url", b.url, "--gateway-url", s.url, "--gateway-user", simUser, "--gateway-notify-url", "https://shop.example/notify",
		"--worker-concurrency", "4", "--admin-listen", "127.0.0.1:0")
	works(t, b, s, w)
}

// works holds a worker with default times to a few jobs.
func works(t *testing.T, b *broker, s *sim, w *processtest.Process) {
	t.Helper()
	orders := plain(t, "start", 10)
	place(b, s, orders)
	b.waitDone(patience)
	allCaptured(b, s, orders)
	w.Stop(patience)
	if w.Out.Count(simSecret) > 0 {
		t.Error("the secret key is in the log")
	}
}

// TestNotStarted is an acceptance test: what is missing or wrong is reported at once, with exit code 2, and
// before anything is created at the broker.
func TestNotStarted(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	reachable := []string{"CAPTURE_NATS_URL=" + b.url, "CAPTURE_GATEWAY_URL=http://127.0.0.1:1/Payments"}
	cases := []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"no user", append(reachable, "CAPTURE_GATEWAY_SECRET_KEY="+simSecret), nil, "CAPTURE_GATEWAY_USER"},
		{"no secret", append(reachable, "CAPTURE_GATEWAY_USER=1"), nil, "CAPTURE_GATEWAY_SECRET_KEY"},
		{"secret as a flag", reachable, []string{"--gateway-secret-key", simSecret}, "unknown flag"},
		{"misspelt variable", append(reachable, "CAPTURE_GATEWAY_SECRET="+simSecret), nil, "CAPTURE_GATEWAY_SECRET_KEY"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			code, out := processtest.Finish(t, patience, "run", c.env, workerProgram, append([]string{"run"}, c.args...)...)
			if code != 2 || !strings.Contains(out, c.want) {
				t.Errorf("exit code %d, want 2 and a message with %q:\n%s", code, c.want, out)
			}
			if strings.Contains(out, simSecret) {
				t.Errorf("the secret key is shown:\n%s", out)
			}
		})
	}
	if b.hasStream(jobsStream) {
		t.Error("a stream was created by a worker that could not start")
	}
}
