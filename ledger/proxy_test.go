package ledger_test

import (
	"net"
	"strings"
	"sync"
	"testing"
)

// action is what the proxy does with a piece of traffic: pass, drop or cut.
type action int

const (
	pass action = iota
	drop        // drop it and keep the connection
	cut         // drop it and break the connection
)

// proxy is between a client and its server and drops the traffic that is set.
type proxy struct {
	url      string
	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex
	up    func(string) action // for what the client sends
	down  func(string) action // for what the server sends
	conns []net.Conn
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{url: "nats://" + l.Addr().String(), target: strings.TrimPrefix(target, "nats://"), listener: l}
	p.wg.Go(p.accept)
	t.Cleanup(p.stop)
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.wg.Go(func() { p.copy(server, client, func() func(string) action { return p.up }) })
		p.wg.Go(func() { p.copy(client, server, func() func(string) action { return p.down }) })
	}
}

func (p *proxy) copy(to, from net.Conn, hook func() func(string) action) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 1<<20)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		ask := hook()
		p.mu.Unlock()
		do := pass
		if ask != nil {
			do = ask(string(b[:n]))
		}
		if do == cut {
			return
		}
		if do == drop {
			continue
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// lose sets what is dropped from now on.
func (p *proxy) lose(up, down func(string) action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.down = up, down
}

func (p *proxy) stop() {
	_ = p.listener.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// once applies the action to the first piece that contains the mark.
func once(mark string, do action) func(string) action {
	var mu sync.Mutex
	done := false
	return func(s string) action {
		mu.Lock()
		defer mu.Unlock()
		if done || !strings.Contains(s, mark) {
			return pass
		}
		done = true
		return do
	}
}

// always applies the action to every piece that contains the mark.
func always(mark string, do action) func(string) action {
	return func(s string) action {
		if strings.Contains(s, mark) {
			return do
		}
		return pass
	}
}
