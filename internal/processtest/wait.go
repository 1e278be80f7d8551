package processtest

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/freeport"
)

// Patience is the timeout of every wait in tests that do not test timing. It is
// long, because a successful wait returns at once, and a short timeout would fail
// on a slow machine without a bug.
const Patience = 2 * time.Minute

// WaitFor waits until the condition holds, and fails the test when it does not
// in time.
func WaitFor(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	if !Comes(within, holds) {
		t.Fatalf("waited %s for %s without success", within, what)
	}
}

// Comes waits until the condition holds, and reports whether it did in time. It is
// for tests with something to do before they fail.
func Comes(within time.Duration, holds func() bool) bool {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return holds() // one evaluation may take longer than the timeout
		}
	}
	return true
}

// FreePort returns a free port for a server that needs a fixed one.
func FreePort(t *testing.T) int {
	t.Helper()
	ports, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	return ports[0]
}

// Output keeps what is written to it.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// String returns the whole text.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Count returns how often a text occurs.
func (o *Output) Count(text string) int { return strings.Count(o.String(), text) }

func (o *Output) tail(n int) string {
	s := o.String()
	return s[max(0, len(s)-n):]
}
