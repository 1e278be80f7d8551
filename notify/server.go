package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Limits limits what untrusted clients can use. Zero durations and a zero
// HeaderBytes mean what they mean in [http.Server].
type Limits struct {
	ReadHeader  time.Duration // until the headers are read
	Read        time.Duration // until the body is read
	Write       time.Duration // from the headers to the end of the answer
	Idle        time.Duration // of a kept-alive connection
	HeaderBytes int
	// Connections and PerAddress limit the connections at a time, in total and from
	// one address that is not a trusted proxy; 0 is that of DefaultLimits. A new
	// connection above a limit takes the place of the one that has waited longest
	// without a request, of the address with the most; it is closed if there is none.
	Connections int
	PerAddress  int
}

// DefaultLimits returns limits that suit a sender of small bodies.
func DefaultLimits() Limits {
	return Limits{
		ReadHeader: 5 * time.Second, Read: 10 * time.Second, Write: 20 * time.Second, Idle: 5 * time.Second,
		HeaderBytes: 16 << 10, Connections: 256, PerAddress: 64,
	}
}

// drainTimeout is how long Serve waits at shutdown, first for answers and then for
// queries in progress.
const drainTimeout = 5 * time.Second

// Serve serves notifications at path until ctx ends, then closes the listener and
// the handler. When it returns, all their goroutines have ended. Other paths get
// HTTP 404. The error is nil if Serve ended because of ctx.
func Serve(ctx context.Context, l net.Listener, path string, h *Handler, limits Limits) error {
	if limits.Connections <= 0 {
		limits.Connections = DefaultLimits().Connections
	}
	if limits.PerAddress <= 0 {
		limits.PerAddress = DefaultLimits().PerAddress
	}
	mux := http.NewServeMux()
	mux.Handle(path, h)
	limited := limitConnections(l, limits, h)
	server := &http.Server{
		Handler: mux, ConnState: limited.changed, ReadHeaderTimeout: limits.ReadHeader, ReadTimeout: limits.Read,
		WriteTimeout: limits.Write, IdleTimeout: limits.Idle, MaxHeaderBytes: limits.HeaderBytes,
		// The server would log every broken connection of an untrusted client.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(limited) }()
	var err error
	select {
	case err = <-ended:
		err = fmt.Errorf("serving notifications: %w", err)
	case <-ctx.Done():
		err = shutDown(server)
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
	}
	h.Drain()
	return err
}

// Drain closes the handler, and waits at most five seconds for its queries.
func (h *Handler) Drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	// Canceled queries lose nothing: the notification is in the ledger.
	if err := h.Close(ctx); err != nil {
		h.cfg.Log.Warn("notified trades left for scheduled retry at shutdown", "error", err)
	}
}

// shutDown waits for answers in progress, then closes the remaining connections: the
// gateway sends those notifications again.
func shutDown(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shutting down the notification listener: %w", err)
	}
	return server.Close()
}

// Sources configures who may send notifications, in addition to the check of the
// signature. The zero Sources allows every sender.
type Sources struct {
	Allow []netip.Prefix // empty allows all
	// ProxyHeader is the header to which a trusted proxy appends the address of its
	// client, such as X-Forwarded-For. It is read only on requests from
	// TrustedProxies. The sender is its right-most address that is not one of them;
	// addresses further left may be forged.
	ProxyHeader    string
	TrustedProxies []netip.Prefix
}

// Allowed reports whether the sender of a request is in an allowed network. It is
// false if networks are set and the address cannot be determined.
func (s Sources) Allowed(r *http.Request) bool {
	if len(s.Allow) == 0 {
		return true
	}
	from, ok := s.sender(r)
	return ok && within(s.Allow, from)
}

// sender returns the address of the client, through trusted proxies.
func (s Sources) sender(r *http.Request) (netip.Addr, bool) {
	from, ok := parseAddr(r.RemoteAddr)
	if !ok || s.ProxyHeader == "" || !within(s.TrustedProxies, from) {
		return from, ok
	}
	hops := strings.Split(strings.Join(r.Header.Values(s.ProxyHeader), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if from, ok = parseAddr(strings.TrimSpace(hop)); !ok {
			return netip.Addr{}, false
		}
		if !within(s.TrustedProxies, from) {
			return from, true
		}
	}
	return from, true
}

// parseAddr reads an address with or without a port.
func parseAddr(text string) (netip.Addr, bool) {
	if with, err := netip.ParseAddrPort(text); err == nil {
		return with.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return addr.Unmap().WithZone(""), err == nil
}

func within(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}
