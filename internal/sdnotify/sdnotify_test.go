package sdnotify_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/internal/sdnotify"
)

func TestSend(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := sdnotify.Send(sdnotify.Ready); err != nil {
		t.Errorf("without systemd: %v", err)
	}
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	if err := sdnotify.Send(sdnotify.Stopping); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(processtest.Patience)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if n, err := conn.Read(got); err != nil || string(got[:n]) != "STOPPING=1" {
		t.Errorf("systemd received %q, %v", got[:n], err)
	}
	t.Setenv("NOTIFY_SOCKET", name+"-gone")
	if err := sdnotify.Send(sdnotify.Ready); err == nil {
		t.Error("no error for a socket that does not exist")
	}
}

func TestWatchdogInterval(t *testing.T) {
	for _, tc := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"nonsense", "", 0}, {"0", "", 0},
		{"30000000", "", 15 * time.Second},
		{"30000000", strconv.Itoa(os.Getpid()), 15 * time.Second},
		{"30000000", "1", 0}, // for another process
	} {
		t.Setenv("WATCHDOG_USEC", tc.usec)
		t.Setenv("WATCHDOG_PID", tc.pid)
		if got := sdnotify.WatchdogInterval(); got != tc.want {
			t.Errorf("WATCHDOG_USEC=%q WATCHDOG_PID=%q: every %s, want %s", tc.usec, tc.pid, got, tc.want)
		}
	}
}
