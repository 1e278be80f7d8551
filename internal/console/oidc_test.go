package console_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/oauth2-proxy/mockoidc"

	"github.com/capture-worker/capture-worker/internal/console"
)

// withProvider starts a real provider program, and a console that uses it.
func withProvider(t *testing.T) (provider *mockoidc.MockOIDC, base string) {
	t.Helper()
	provider, err := mockoidc.Run()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := provider.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	// The redirect address has the port of the listener: the console is made for it.
	listener := listen(t)
	base = "http://" + listener.Addr().String()
	w := newWorld(t, func(o *console.Options) {
		o.URL = base
		o.Access = console.Access{
			Operators: []string{"group:support"}, Viewers: []string{"group:support", "group:finance"},
			OIDC: &console.OIDC{
				Issuer: provider.Issuer(), ClientID: provider.ClientID, ClientSecret: provider.ClientSecret,
				Scopes: []string{"email", "profile", "groups"}, NameClaim: "email", GroupsClaim: "groups",
			},
		}
	})
	w.someTrades()
	server := &http.Server{Handler: w.console.Handler(), ReadHeaderTimeout: patience}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-served })
	return provider, base
}

// browse returns a browser with cookies of its own: it opens a path, and returns
// the code, the address and the text of the page that it ends at.
func browse(t *testing.T, base string) func(path string) (int, string, string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
	return func(path string) (int, string, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Request.URL.String(), string(body)
	}
}

// The code flow with PKCE, claims and roles.
func TestLoginAtAProvider(t *testing.T) {
	t.Parallel()
	provider, base := withProvider(t)
	browser := func() func(string) (int, string, string) { return browse(t, base) }
	user := func(email string, verified bool, groups ...string) {
		provider.QueueUser(&mockoidc.MockUser{Subject: email, Email: email, EmailVerified: verified, Groups: groups})
	}

	ana := browser()
	if code, url, body := ana("/work"); code != http.StatusOK || !strings.HasSuffix(url, "/login") || !strings.Contains(body, "/oidc/login") {
		t.Fatalf("before the login: %d %s", code, url)
	}
	user("ana@shop.example", true, "support")
	if code, url, body := ana("/oidc/login"); code != http.StatusOK || url != base+"/" || !strings.Contains(body, "ana@shop.example") || !strings.Contains(body, "operator") {
		t.Fatalf("the login: %d %s %s", code, url, body)
	}
	if code, _, _ := ana("/trades/T-1/release"); code != http.StatusOK {
		t.Errorf("an operator: %d", code)
	}
	ben := browser()
	user("ben@shop.example", true, "finance")
	ben("/oidc/login")
	if code, _, _ := ben("/trades/T-1/release"); code != http.StatusForbidden {
		t.Errorf("a viewer: %d", code)
	}
	for _, c := range []struct {
		what string
		set  func()
		want int
	}{
		{"no role", func() { user("eve@shop.example", true, "staff") }, http.StatusForbidden},
		{"an email that is not verified", func() { user("ana@shop.example", false, "support") }, http.StatusUnauthorized},
		{"an error of the provider", func() {
			provider.QueueError(&mockoidc.ServerError{Code: http.StatusInternalServerError, Error: mockoidc.InternalServerError, Description: "x"})
		}, http.StatusInternalServerError},
	} {
		c.set()
		if code, url, _ := browser()("/oidc/login"); code != c.want {
			t.Errorf("%s: %d at %s, want %d", c.what, code, url, c.want)
		}
	}
	// A code that another browser got, or no one, begins no session.
	for _, path := range []string{"/oidc/callback", "/oidc/callback?state=x&code=y", "/oidc/callback?error=access_denied&state="} {
		if code, _, _ := browser()(path); code != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, code)
		}
	}
}
