package processtest

import (
	"bytes"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// WaitFor waits until the condition holds, and fails the test when it does not
// in time.
func WaitFor(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			if holds() { // a look may take longer than the bound
				return
			}
			t.Fatalf("waited %s in vain for %s", within, what)
		}
	}
}

// FreePort finds a port below those that the system gives to outgoing
// connections: a client that tries to reconnect to one of these may be given
// the very port as its own, connect to itself, and keep the server out.
func FreePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(10_000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no free port among 100")
	return 0
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

// String is all of it.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Count counts a text in it.
func (o *Output) Count(text string) int { return strings.Count(o.String(), text) }

func (o *Output) tail(n int) string {
	s := o.String()
	return s[max(0, len(s)-n):]
}
