package config

import (
	"net"
	"net/netip"
	"strings"
	"time"
)

// HasLogin reports whether the console can authenticate anyone. Without, it is
// read-only and serves this machine only.
func (c Console) HasLogin() bool {
	return c.Users != "" || c.IdentityHeader != "" || c.OIDC.Issuer != ""
}

func (v *checker) console() {
	c := v.c.Console
	v.address("console.listen", c.Listen)
	for _, other := range []struct{ key, address string }{
		{"admin.listen", v.c.Admin.Listen}, {"notify.listen", v.c.Notify.Listen}, {"records.listen", v.c.Records.Listen},
	} {
		if c.Listen != "" && c.Listen == other.address && !strings.HasSuffix(c.Listen, ":0") {
			v.add("console.listen", "is the address of "+other.key+" too", "choose another port")
		}
	}
	if c.URL != "" {
		v.webAddress("console.url", c.URL, "such as https://capture.shop.example")
	}
	v.together("console.tls_cert", "console.tls_key")
	v.networks("console.trusted_proxies", c.TrustedProxies)
	v.together("console.identity_header", "console.trusted_proxies")
	for _, header := range []struct{ key, name string }{{"console.identity_header", c.IdentityHeader}, {"console.groups_header", c.GroupsHeader}} {
		if strings.ContainsFunc(header.name, notInHeaders) {
			v.add(header.key, "must be a name of a header, such as X-Forwarded-User", "")
		}
	}
	if c.GroupsHeader != "" && c.IdentityHeader == "" {
		v.add("console.groups_header", "needs console.identity_header", "set both, or neither")
	}
	v.atLeast("console.session", c.Session, time.Minute)
	v.atLeast("console.session_idle", c.SessionIdle, time.Minute)
	v.notAbove("console.session_idle", c.SessionIdle, "console.session", c.Session)
	v.consoleOIDC()
	v.consoleAccess()
}

func (v *checker) consoleOIDC() {
	c := v.c.Console
	if c.OIDC.Issuer == "" {
		return
	}
	v.webAddress("console.oidc.issuer", c.OIDC.Issuer, "such as https://login.shop.example")
	v.notEmpty("console.oidc.name_claim")
	if c.OIDC.ClientID == "" {
		v.add("console.oidc.client_id", "is not set, and console.oidc.issuer is", "register the console at the provider, and set the client id that it gives")
	}
	if c.URL == "" {
		v.add("console.url", "is not set, and the provider of console.oidc.issuer sends browsers back to it", "set the address at which browsers reach the console")
	}
}

// consoleAccess refuses a console that other machines can reach without a login,
// or with passwords that others can read on the way.
func (v *checker) consoleAccess() {
	c := v.c.Console
	if c.Listen == "" || loopback(c.Listen) {
		return
	}
	switch {
	case !c.HasLogin():
		v.add("console.listen", "is reachable from other machines, and there is no login", "set console.users, console.oidc.issuer or console.identity_header, or listen on 127.0.0.1")
	case c.TLSCert == "" && len(c.TrustedProxies) == 0:
		v.add("console.listen", "is reachable from other machines without TLS", "set console.tls_cert and console.tls_key, or console.trusted_proxies if a proxy in front has the certificate")
	}
}

// loopback reports whether a listen address can be reached from this machine only.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip, _ := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || ip.IsLoopback())
}
