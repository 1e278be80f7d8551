package capture

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// notifyHosts lists the hosts that are allowed in a job's notify_url. Without the
// list a publisher of jobs could redirect the notifications of a trade.
type notifyHosts struct {
	any     bool
	allowed []string // in lower case, without the dot at the end
}

// newNotifyHosts returns the list of allowed hosts: nil allows any host, an empty
// list none.
func newNotifyHosts(list []string) notifyHosts {
	h := notifyHosts{any: list == nil}
	for _, host := range list {
		h.allowed = append(h.allowed, plainHost(host))
	}
	return h
}

func plainHost(host string) string {
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

// check returns the fault of an address, without repeating the address.
func (h notifyHosts) check(text string) error {
	u, err := ReadNotifyURL(text)
	if err != nil {
		return err
	}
	if h.any || slices.Contains(h.allowed, plainHost(u.Hostname())) {
		return nil
	}
	if len(h.allowed) == 0 {
		return errors.New("names a host, but no host is allowed: leave the field out, or allow the host in gateway.notify_hosts")
	}
	return fmt.Errorf("names a host that is not allowed; allowed is %s (gateway.notify_hosts)", shortList(h.allowed))
}

// shortList returns the first hosts of a list, for an error.
func shortList(names []string) string {
	const most = 4
	more := ""
	if len(names) > most {
		names, more = names[:most], fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ") + more
}

// ReadNotifyURL reads an address to which the gateway may send notifications:
// https, or http to this machine, without user and password. Errors do not
// repeat it.
func ReadNotifyURL(text string) (*url.URL, error) {
	if strings.IndexFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) >= 0 {
		return nil, errors.New("holds a space or a character outside ASCII; percent-encode it")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("is not an absolute https URL, like https://shop.example/notify")
	case u.User != nil:
		return nil, errors.New("holds a user or a password, but the URL is sent to the gateway and written to the ledger; remove them")
	case u.Scheme == "http" && !loopbackHost(u.Hostname()):
		return nil, errors.New("is plain http, which others can read on the way; only https is allowed, and http to this machine")
	}
	return u, nil
}

// loopbackHost reports whether a host is localhost or a loopback address. A name
// that resolves to loopback is not trusted.
func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
