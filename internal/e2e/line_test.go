//go:build unix

package e2e

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// lineState is what a line does with what it carries.
type lineState int

const (
	lineUp    lineState = iota
	lineStuck           // holds everything back; once up, it arrives late
	lineCut             // connections break, with what was held, and none is made
)

// line is the network between two programs: a TCP proxy that can get stuck and
// be cut.
type line struct {
	address string
	target  string
	l       net.Listener
	wg      sync.WaitGroup

	mu      sync.Mutex
	state   lineState
	changed chan struct{} // closed at the next change
	conns   map[net.Conn]bool
	ended   bool
}

// startLine lays a line to an address, host:port.
func startLine(t *testing.T, target string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &line{address: l.Addr().String(), target: target, l: l, changed: make(chan struct{}), conns: map[net.Conn]bool{}}
	n.wg.Go(n.accept)
	t.Cleanup(n.close)
	return n
}

// set changes the state.
func (n *line) set(s lineState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = s
	close(n.changed)
	n.changed = make(chan struct{})
	if s == lineCut {
		for c := range n.conns {
			_ = c.Close() // its copier ends and forgets it
		}
	}
}

func (n *line) accept() {
	for {
		from, err := n.l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		n.wg.Go(func() { n.carry(from) })
	}
}

// carry connects one connection through. A cut line takes it and breaks it, as
// a router in the middle does.
func (n *line) carry(from net.Conn) {
	defer from.Close()
	if !n.keep(from) {
		return
	}
	defer n.forget(from)
	to, err := net.Dial("tcp", n.target)
	if err != nil {
		return // no server is there, which the client must notice
	}
	defer to.Close()
	if !n.keep(to) {
		return
	}
	defer n.forget(to)
	var both sync.WaitGroup
	both.Go(func() { n.copy(to, from) })
	both.Go(func() { n.copy(from, to) })
	both.Wait()
}

// copy ends the whole connection when one direction ends.
func (n *line) copy(to io.WriteCloser, from io.ReadCloser) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		size, err := from.Read(b)
		if err != nil || !n.pass() {
			return
		}
		if _, err := to.Write(b[:size]); err != nil {
			return
		}
	}
}

// pass waits while the line is stuck, and tells whether to continue.
func (n *line) pass() bool {
	for {
		n.mu.Lock()
		state, changed, ended := n.state, n.changed, n.ended
		n.mu.Unlock()
		if state != lineStuck || ended {
			return state == lineUp && !ended
		}
		<-changed
	}
}

func (n *line) keep(c net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state == lineCut || n.ended {
		return false
	}
	n.conns[c] = true
	return true
}

func (n *line) forget(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

func (n *line) close() {
	_ = n.l.Close()
	n.mu.Lock()
	n.ended = true
	n.mu.Unlock()
	n.set(lineCut)
	n.wg.Wait()
}
