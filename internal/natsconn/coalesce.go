package natsconn

import (
	"net"
	"sync"
	"time"
)

const (
	// gatherFor is how long a write waits for more to go out with it, where
	// another went out just before.
	gatherFor = 250 * time.Microsecond
	// gatherMost is how much may wait.
	gatherMost = 32 << 10
	// writeBound is for one write; then the connection is taken for lost.
	writeBound = 10 * time.Second
	// closeBound is for what is still to be written when it closes.
	closeBound = time.Second
)

// gatheringDialer makes connections whose small writes go out together. The
// client writes whatever it has as soon as it has anything: under load that is
// a system call here and one at the server for every message or two.
type gatheringDialer struct{ net.Dialer }

func newDialer() *gatheringDialer {
	return &gatheringDialer{net.Dialer{Timeout: dialTimeout}}
}

// Dial implements nats.CustomDialer.
func (d *gatheringDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := d.Dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return gather(conn), nil
}

func gather(conn net.Conn) net.Conn { return &gathering{Conn: conn} }

// gathering is a connection that writes at once while it is calm, and what
// comes close behind a write together. An error of a write that waited is
// returned by the next one; nobody takes a write for a delivery.
type gathering struct {
	net.Conn
	mu      sync.Mutex
	waiting []byte
	last    time.Time // when a write went out
	timer   *time.Timer
	err     error
}

func (g *gathering) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return 0, g.err
	}
	calm := len(g.waiting) == 0 && time.Since(g.last) > gatherFor
	if calm || len(g.waiting)+len(b) > gatherMost {
		g.send()
		return len(b), g.write(b)
	}
	if len(g.waiting) == 0 {
		g.wake()
	}
	g.waiting = append(g.waiting, b...)
	return len(b), nil
}

// wake has what waits written soon.
func (g *gathering) wake() {
	if g.timer != nil {
		g.timer.Reset(gatherFor)
		return
	}
	g.timer = time.AfterFunc(gatherFor, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.send()
	})
}

// send writes what waits.
func (g *gathering) send() {
	if len(g.waiting) == 0 || g.err != nil {
		return
	}
	_ = g.write(g.waiting) // kept for the next write
	g.waiting = g.waiting[:0]
}

func (g *gathering) write(b []byte) error {
	if g.err != nil {
		return g.err
	}
	g.last = time.Now()
	if g.err = g.Conn.SetWriteDeadline(g.last.Add(writeBound)); g.err == nil {
		_, g.err = g.Conn.Write(b)
	}
	return g.err
}

// SetWriteDeadline does nothing: every write has its own bound.
func (g *gathering) SetWriteDeadline(time.Time) error { return nil }

// Close writes what waits, and closes.
func (g *gathering) Close() error {
	// Also a write under way may take no longer, or it would keep us waiting.
	_ = g.Conn.SetWriteDeadline(time.Now().Add(closeBound))
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) > 0 && g.err == nil {
		_, _ = g.Conn.Write(g.waiting)
		g.waiting = nil
	}
	if g.timer != nil {
		g.timer.Stop()
	}
	if g.err == nil {
		g.err = net.ErrClosed
	}
	return g.Conn.Close()
}
