package notify

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

// connections is a listener that always accepts. If there is no place left for a
// client, it closes a connection that waits for a request, and if there is none, the
// new one: untrusted clients that hold connections open cannot keep others out.
type connections struct {
	net.Listener
	limits  Limits
	sources Sources
	denied  *atomic.Int64 // connections from networks that are not allowed
	crowded *atomic.Int64 // connections closed for want of a place

	mu    sync.Mutex
	open  map[net.Conn]*place
	count map[netip.Addr]int // of open, by address
	next  uint64
}

// place is one open connection.
type place struct {
	from    netip.Addr
	number  uint64 // in the order of arrival
	waiting bool   // for the first byte of a request
}

func limitConnections(l net.Listener, limits Limits, h *Handler) *connections {
	return &connections{
		Listener: l, limits: limits, sources: h.cfg.Sources, denied: &h.stats.Denied, crowded: &h.stats.Crowded,
		open: map[net.Conn]*place{}, count: map[netip.Addr]int{},
	}
}

// Accept returns the next connection that has a place.
func (c *connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		// The address of a TCP connection can always be read; that of another kind
		// of listener is the zero address.
		from, _ := parseAddr(conn.RemoteAddr().String())
		proxied := c.sources.ProxyHeader != "" && within(c.sources.TrustedProxies, from)
		if len(c.sources.Allow) > 0 && !proxied && !within(c.sources.Allow, from) {
			c.denied.Add(1)
			conn.Close()
			continue
		}
		if c.admit(conn, from, proxied) {
			return conn, nil
		}
		c.crowded.Add(1)
		conn.Close()
	}
}

// admit gives a connection a place, if there is one or one can be made.
func (c *connections) admit(conn net.Conn, from netip.Addr, proxied bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !proxied && c.count[from] >= c.limits.PerAddress:
		if !c.makeRoom(func(p *place) bool { return p.from == from }) {
			return false
		}
	case len(c.open) >= c.limits.Connections:
		most := c.most()
		if !c.makeRoom(func(p *place) bool { return c.count[p.from] == most }) && !c.makeRoom(func(*place) bool { return true }) {
			return false
		}
	}
	c.next++
	c.open[conn] = &place{from: from, number: c.next, waiting: true}
	c.count[from]++
	return true
}

// most returns the number of connections of the address that has the most.
func (c *connections) most() int {
	most := 0
	for _, n := range c.count {
		most = max(most, n)
	}
	return most
}

// makeRoom closes the oldest connection that waits for a request, of those that
// match, and reports whether there was one.
func (c *connections) makeRoom(match func(*place) bool) bool {
	var oldest net.Conn
	for conn, p := range c.open {
		if p.waiting && match(p) && (oldest == nil || p.number < c.open[oldest].number) {
			oldest = conn
		}
	}
	if oldest == nil {
		return false
	}
	c.remove(oldest)
	c.crowded.Add(1)
	oldest.Close() // the server's reader sees it and ends the connection
	return true
}

func (c *connections) remove(conn net.Conn) {
	p := c.open[conn]
	if p == nil {
		return
	}
	delete(c.open, conn)
	if c.count[p.from]--; c.count[p.from] == 0 {
		delete(c.count, p.from)
	}
}

// changed is the server's ConnState hook.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch p := c.open[conn]; {
	case p == nil: // closed to make room
	case state == http.StateClosed || state == http.StateHijacked:
		c.remove(conn)
	default:
		p.waiting = state == http.StateNew || state == http.StateIdle
	}
}
