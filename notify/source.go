package notify

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Sources says who may send notifications. The zero Sources lets everybody:
// the signature is what counts, the network is a second fence.
type Sources struct {
	Allow []netip.Prefix // none: everybody
	// ProxyHeader names the header in which a proxy of ours appends the address
	// it got the request from, such as X-Forwarded-For. It is believed only
	// from TrustedProxies, and only up to the right-most address that is none
	// of them: what stands further left, the sender may have made up.
	ProxyHeader    string
	TrustedProxies []netip.Prefix
}

// Allowed reports whether the sender of a request is in an allowed network.
func (s Sources) Allowed(r *http.Request) bool {
	if len(s.Allow) == 0 {
		return true
	}
	from, ok := s.sender(r)
	return ok && within(s.Allow, from)
}

// sender is the address the request came from, as far as it can be believed.
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
