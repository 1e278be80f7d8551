package processtest

import (
	"net"
	"strings"
	"sync"
	"testing"
)

// Action is what a Proxy does with a piece of traffic.
type Action int

const (
	Pass Action = iota
	Drop        // drop it and keep the connection
	Cut         // drop it and break the connection
)

// Proxy is between a client and its server and loses or delays the traffic that
// is set.
type Proxy struct {
	URL      string
	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex
	up    func(string) Action // for what the client sends
	down  func(string) Action // for what the server sends
	conns []net.Conn
}

// StartProxy returns a proxy of a NATS server that passes everything and ends
// with the test.
func StartProxy(t *testing.T, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{URL: "nats://" + l.Addr().String(), target: strings.TrimPrefix(target, "nats://"), listener: l}
	p.wg.Go(p.accept)
	t.Cleanup(p.stop)
	return p
}

func (p *Proxy) accept() {
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
		p.wg.Go(func() { p.copy(server, client, func() func(string) Action { return p.up }) })
		p.wg.Go(func() { p.copy(client, server, func() func(string) Action { return p.down }) })
	}
}

func (p *Proxy) copy(to, from net.Conn, hook func() func(string) Action) {
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
		do := Pass
		if ask != nil {
			do = ask(string(b[:n]))
		}
		if do == Cut {
			return
		}
		if do == Drop {
			continue
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// Lose sets what is lost from now on: up decides about each piece that the client
// sends, down about those of the server; nil passes everything. A function that
// blocks delays the traffic of its direction until it returns.
func (p *Proxy) Lose(up, down func(string) Action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.down = up, down
}

func (p *Proxy) stop() {
	_ = p.listener.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// Once applies the Action to the first piece that contains the mark.
func Once(mark string, do Action) func(string) Action {
	var mu sync.Mutex
	done := false
	return func(s string) Action {
		mu.Lock()
		defer mu.Unlock()
		if done || !strings.Contains(s, mark) {
			return Pass
		}
		done = true
		return do
	}
}

// Always applies the Action to every piece that contains the mark.
func Always(mark string, do Action) func(string) Action {
	return func(s string) Action {
		if strings.Contains(s, mark) {
			return do
		}
		return Pass
	}
}
