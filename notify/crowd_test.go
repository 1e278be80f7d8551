package notify_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/notify"
)

// patientLimits lets no connection end by a timeout.
func patientLimits() notify.Limits {
	limits := notify.DefaultLimits()
	limits.Read, limits.ReadHeader, limits.Idle = processtest.Patience, processtest.Patience, processtest.Patience
	return limits
}

// dial connects from an address of the loopback network.
func dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: processtest.Patience}
	conn, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(processtest.Patience))
	t.Cleanup(func() { conn.Close() })
	return conn
}

func postRaw(conn net.Conn, body string) error {
	_, err := fmt.Fprintf(conn, "POST /notify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return err
}

func status(conn net.Conn) (int, bool, error) {
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, false, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, answer.Close, err
}

// Clients that hold connections open, with and without a first request, do not
// keep genuine notifications out.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	address, stop := serve(t, w, patientLimits())
	w.announced("T0", time.Now())
	kept := signed(secret, data("T0", "paid"))
	for i := range 300 {
		conn := dial(t, fmt.Sprintf("127.0.1.%d", 1+i%6), address)
		if i%2 == 0 {
			continue // never sends a byte
		}
		if err := postRaw(conn, kept); err != nil {
			t.Fatal(err)
		}
		if got, _, err := status(conn); err != nil || got != http.StatusOK {
			t.Fatalf("idle client %d: %d, %v", i, got, err)
		}
	}
	for i := range 7 {
		trade := fmt.Sprintf("T%d", i+1)
		w.announced(trade, time.Now())
		conn := dial(t, "127.0.2.1", address)
		if err := postRaw(conn, signed(secret, data(trade, "paid"))); err != nil {
			t.Fatal(err)
		}
		if got, _, err := status(conn); err != nil || got != http.StatusOK {
			t.Errorf("genuine notification %d: %d, %v", i, got, err)
		}
	}
	if n := w.handler.Stats().Crowded.Load(); n == 0 {
		t.Error("no connection was closed to make room")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// One address gets PerAddress places. Requests in progress keep theirs.
func TestOneAddressIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	limits := patientLimits()
	limits.PerAddress = 2
	address, stop := serve(t, w, limits)
	busy := [2]net.Conn{}
	for i := range busy {
		busy[i] = dial(t, "127.0.1.1", address)
		if _, err := io.WriteString(busy[i], "POST /notify HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(busy[i]).ReadString('\n') // the handler reads the body
		if err != nil || !strings.Contains(line, "100") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	if _, _, err := status(dial(t, "127.0.1.1", address)); err == nil || isTimeout(err) {
		t.Errorf("a third connection of the address: %v", err)
	}
	other := dial(t, "127.0.1.2", address)
	if err := postRaw(other, signed("forger", data("T1", "paid"))); err != nil {
		t.Fatal(err)
	}
	if got, closed, err := status(other); err != nil || got != http.StatusUnauthorized || !closed {
		t.Errorf("another address: %d, closed %t, %v", got, closed, err)
	}
	for _, conn := range busy {
		if _, err := io.WriteString(conn, "{}"); err != nil {
			t.Error(err)
		}
		if got, _, err := status(conn); err != nil || got != http.StatusBadRequest {
			t.Errorf("a request in progress: %d, %v", got, err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A client outside notify.allow gets no place; a trusted proxy does.
func TestForeignNetworksGetNoPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *notify.Config, _ *world) {
		c.Sources = notify.Sources{
			Allow:       []netip.Prefix{netip.MustParsePrefix("127.0.1.0/24")},
			ProxyHeader: "X-Forwarded-For", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.2.0/24")},
		}
	})
	address, stop := serve(t, w, patientLimits())
	for from, want := range map[string]int{"127.0.1.1": http.StatusBadRequest, "127.0.2.1": http.StatusForbidden, "127.0.3.1": 0} {
		conn := dial(t, from, address)
		_ = postRaw(conn, "{}") // may be cut off
		if got, _, err := status(conn); got != want || isTimeout(err) {
			t.Errorf("from %s: %d, want %d, %v", from, got, want, err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := w.handler.Stats().Denied.Load(); n != 2 {
		t.Errorf("%d denied, want 2", n)
	}
}
