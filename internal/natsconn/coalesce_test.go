package natsconn_test

import (
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/internal/natsconn"
)

// wire is a connection that records what was written, and fails if fail is set.
type wire struct {
	net.Conn
	mu       sync.Mutex
	writes   []string
	fail     error
	closed   bool
	deadline time.Time
}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return 0, w.fail
	}
	w.writes = append(w.writes, string(b))
	return len(b), nil
}

func (w *wire) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	return nil
}

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return nil
}

func (w *wire) wrote(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.writes, want) {
		t.Errorf("on the wire: %q, want %q", w.writes, want)
	}
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("writing %q: %d, %v", text, n, err)
	}
}

func TestCloseWritesAreCombined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		c := natsconn.Coalesce(w)
		write(t, c, "first")
		w.wrote(t, "first") // no write just before: sent at once
		write(t, c, "b")
		write(t, c, "c")
		w.wrote(t, "first")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		w.wrote(t, "first", "bc")
		write(t, c, "idle")
		w.wrote(t, "first", "bc", "idle")
		if time.Until(w.deadline) <= 0 {
			t.Error("a write without a deadline")
		}
	})
}

func TestLargeWriteIsSentAtOnceAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		c := natsconn.Coalesce(w)
		large := string(make([]byte, 40<<10))
		write(t, c, "a")
		write(t, c, "b")
		write(t, c, large)
		w.wrote(t, "a", "b", large)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		w.wrote(t, "a", "b", large)
	})
}

func TestErrorOfDelayedWriteIsReturnedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		c := natsconn.Coalesce(w)
		write(t, c, "a")
		write(t, c, "b")
		broken := errors.New("broken pipe")
		w.mu.Lock()
		w.fail = broken
		w.mu.Unlock()
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if _, err := c.Write([]byte("c")); !errors.Is(err, broken) {
			t.Errorf("the next write: %v", err)
		}
	})
}

func TestCloseFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		c := natsconn.Coalesce(w)
		write(t, c, "a")
		write(t, c, "b")
		if err := c.Close(); err != nil || !w.closed {
			t.Fatalf("closing: %v", err)
		}
		w.wrote(t, "a", "b")
		if _, err := c.Write([]byte("c")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a write after Close: %v", err)
		}
	})
}
