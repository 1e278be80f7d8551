package config

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/finding"
)

func TestConsoleSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		change func(*Console)
		wrong  string // the key, "" for none
	}{
		{"the default", func(*Console) {}, ""},
		{"off", func(c *Console) { c.Listen = "" }, ""},
		{"other machines without a login", func(c *Console) { c.Listen = ":9466" }, "console.listen"},
		{"other machines without TLS", func(c *Console) { c.Listen, c.Users = ":9466", "users" }, "console.listen"},
		{"other machines with TLS", func(c *Console) { c.Listen, c.Users, c.TLSCert, c.TLSKey = ":9466", "users", "cert", "key" }, ""},
		{"behind a proxy", func(c *Console) {
			c.Listen, c.IdentityHeader, c.TrustedProxies = "0.0.0.0:9466", "X-Forwarded-User", []string{"10.0.0.0/8"}
		}, ""},
		{"half a certificate", func(c *Console) { c.TLSCert = "cert" }, "console.tls_cert"},
		{"a header without proxies", func(c *Console) { c.IdentityHeader = "X-User" }, "console.identity_header"},
		{"not a header", func(c *Console) { c.IdentityHeader, c.TrustedProxies = "X User", []string{"10.0.0.1"} }, "console.identity_header"},
		{"groups without an identity", func(c *Console) { c.GroupsHeader = "X-Groups" }, "console.groups_header"},
		{"not a network", func(c *Console) { c.IdentityHeader, c.TrustedProxies = "X-User", []string{"10.0.0.1/8"} }, "console.trusted_proxies"},
		{"the address of the metrics", func(c *Console) { c.Listen = "127.0.0.1:9464" }, "console.listen"},
		{"not a URL", func(c *Console) { c.URL = "console.example" }, "console.url"},
		{"idle for longer than it lasts", func(c *Console) { c.SessionIdle = 11 * time.Hour }, "console.session_idle"},
		{"a provider", func(c *Console) {
			c.OIDC.Issuer, c.OIDC.ClientID, c.URL = "https://login.example", "console", "https://console.example"
		}, ""},
		{"a provider without a client", func(c *Console) { c.OIDC.Issuer, c.URL = "https://login.example", "https://console.example" }, "console.oidc.client_id"},
		{"a provider without a way back", func(c *Console) { c.OIDC.Issuer, c.OIDC.ClientID = "https://login.example", "console" }, "console.url"},
		{"no time", func(c *Console) { c.Session, c.SessionIdle = 0, 0 }, "console.session"},
	} {
		config := Defaults()
		c.change(&config.Console)
		err := config.Validate()
		problems, _ := errors.AsType[Problems](err)
		if c.wrong == "" && err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if c.wrong != "" && !slices.ContainsFunc(problems, func(f finding.Finding) bool { return f.Area == c.wrong }) {
			t.Errorf("%s: %v, want a problem of %s", c.what, err, c.wrong)
		}
	}
}
