package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/capture"
)

const proxyPassword = "hunter2"

// TestMain sets a proxy in the environment, which is read once per process.
// Loopback addresses go past it, so that it meets TestProxy alone.
func TestMain(m *testing.M) {
	proxy := httptest.NewServer(http.HandlerFunc(tunnel))
	address := "http://worker:" + proxyPassword + "@" + strings.TrimPrefix(proxy.URL, "http://")
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		os.Setenv(name, address)
	}
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		os.Setenv(name, "")
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// tunnel is a proxy: it wants a password, or it opens a tunnel and closes it.
func tunnel(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Host, "closed.") {
		w.WriteHeader(http.StatusOK)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
		return
	}
	w.WriteHeader(http.StatusProxyAuthRequired)
}

func TestProxyThatFailsMeansNotSent(t *testing.T) {
	for name, tc := range map[string]struct{ url, why string }{
		"refused CONNECT": {"https://refused.gateway.example/Payments", "Proxy Authentication Required"},
		"closed tunnel":   {"https://closed.gateway.example/Payments", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := dial(t, tc.url, nil).Capture(t.Context(), request(t))
			if got.Kind != capture.AnswerNotSent || !strings.Contains(got.Why, tc.why) {
				t.Errorf("got %+v", got)
			}
			if strings.Contains(got.Why, proxyPassword) {
				t.Errorf("shows the proxy's password: %s", got.Why)
			}
		})
	}
}
