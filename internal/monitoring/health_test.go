//go:build unix

package monitoring

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// systemd receives what a service sends with sd_notify.
type systemd struct {
	t      *testing.T
	socket string
	mu     sync.Mutex
	heard  []string
}

func newSystemd(t *testing.T) *systemd {
	t.Helper()
	// Not t.TempDir: the length of a socket path is limited.
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	s := &systemd{t: t, socket: filepath.Join(dir, "n")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1024)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.heard = append(s.heard, string(buf[:n]))
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
		_ = os.RemoveAll(dir)
	})
	return s
}

func (s *systemd) count(state string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.heard {
		if h == state {
			n++
		}
	}
	return n
}

// TestSystemdIsTold is an acceptance test: started by systemd, the worker sends READY when it takes jobs,
// WATCHDOG at the requested interval, and STOPPING when it stops. The time from
// start to ready is logged only, because it depends on the machine.
func TestSystemdIsTold(t *testing.T) {
	t.Parallel()
	w, sd := newWorld(t, "systemd", startSim(t)), newSystemd(t)
	began := time.Now()
	w.worker = processtest.Start(t, "worker", w.env("NOTIFY_SOCKET="+sd.socket, "WATCHDOG_USEC=400000"), program, "run")
	processtest.WaitFor(t, patience, "READY", func() bool { return sd.count("READY=1") > 0 })
	t.Logf("from start to READY, streams created again: %s", time.Since(began).Round(time.Millisecond))
	if code, text := w.ask("/readyz"); code != 200 {
		t.Errorf("READY was sent while /readyz returns %d %s", code, text)
	}
	processtest.WaitFor(t, patience, "WATCHDOG", func() bool { return sd.count("WATCHDOG=1") >= 3 })
	if sd.count("STOPPING=1") != 0 {
		t.Error("STOPPING was sent too early")
	}
	w.worker.Stop(patience)
	processtest.WaitFor(t, patience, "STOPPING", func() bool { return sd.count("STOPPING=1") == 1 })
	if n := sd.count("READY=1"); n != 1 {
		t.Errorf("READY was sent %d times", n)
	}
}

// A hung process sends no WATCHDOG. Here the whole process is stopped.
func TestWatchdogFallsSilent(t *testing.T) {
	t.Parallel()
	w, sd := newWorld(t, "hung", startSim(t)), newSystemd(t)
	w.worker = processtest.Start(t, "worker", w.env("NOTIFY_SOCKET="+sd.socket, "WATCHDOG_USEC=200000"), program, "run")
	processtest.WaitFor(t, patience, "WATCHDOG", func() bool { return sd.count("WATCHDOG=1") > 0 })
	w.worker.Pause()
	last, since := sd.count("WATCHDOG=1"), time.Now()
	processtest.WaitFor(t, patience, "silence of a second", func() bool {
		if n := sd.count("WATCHDOG=1"); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > time.Second
	})
	w.worker.Resume()
	processtest.WaitFor(t, patience, "WATCHDOG again", func() bool { return sd.count("WATCHDOG=1") > last })
}

func (w *world) readyReturns(code int, text string) {
	w.t.Helper()
	var gotCode int
	var got string
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("/readyz returned %d %s", gotCode, got)
		}
	})
	processtest.WaitFor(w.t, patience, "/readyz to say "+text, func() bool {
		gotCode, got = w.ask("/readyz")
		return gotCode == code && strings.Contains(got, text)
	})
	if code, text := w.ask("/livez"); code != 200 {
		w.t.Errorf("/livez returns %d %s while /readyz returns %s: a restart would not help", code, text, got)
	}
}

// TestHealthThroughHaltOutageAndDrain is an acceptance test: /readyz reports the connection, a paused intake and the drain, with
// the reason. /livez reports the worker's own loop and stays 200.
func TestHealthThroughHaltOutageAndDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "health", startSim(t))
	w.run("CAPTURE_WORKER_CONCURRENCY=4", "CAPTURE_GATEWAY_TIMEOUT=4s", "CAPTURE_RECONCILE_SETTLE=5s", "CAPTURE_RECONCILE_FINAL=5s", "CAPTURE_NATS_ACK_WAIT=10s")
	w.readyReturns(200, "ok")

	w.setKey("not-the-right-key-at-all")
	w.worker.Says("reloaded gateway secret key", 1, patience)
	w.jobs(shipped, "health", 4)
	w.readyReturns(503, "refuses our signature or user")
	w.setKey(secret)
	w.readyReturns(200, "ok")
	w.waitCaptured(4)

	w.broker.Shutdown()
	w.readyReturns(503, "NATS is not connected")
	w.startBroker()
	w.readyReturns(200, "ok")

	// A hanging call makes the drain last long enough to be observed.
	w.sim.post("/_sim/faults", `{"hang_after":1}`)
	w.jobs(shipped, "drain", 4)
	processtest.WaitFor(t, patience, "calls to hang", func() bool {
		_, text := w.ask("/metrics")
		return strings.Contains(text, "\ncapture_gateway_calls_in_flight 4\n")
	})
	w.worker.Signal(syscall.SIGTERM)
	w.readyReturns(503, "stopping")
	w.worker.EndsWell(patience) // a second SIGTERM would end it at once
}
