package service

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAdminRoutes(t *testing.T) {
	t.Parallel()
	metrics := answer(func() error { return nil })
	yes := func() error { return nil }
	no := func() error { return errors.New("not ready: stopping") }
	cases := []struct {
		name         string
		method, path string
		alive, ready probe
		profiles     bool
		status       int
		says         string
	}{
		{"alive", "GET", "/livez", yes, no, false, 200, "ok"},
		{"not alive", "GET", "/livez", no, yes, false, 503, "stopping"},
		{"ready", "GET", "/readyz", yes, yes, false, 200, "ok"},
		{"not ready", "GET", "/readyz", yes, no, false, 503, "stopping"},
		{"metrics", "GET", "/metrics", no, no, false, 200, "ok"},
		{"no profiles unless asked", "GET", "/debug/pprof/", yes, yes, false, 404, ""},
		{"profiles", "GET", "/debug/pprof/", yes, yes, true, 200, "goroutine"},
		{"nothing can be changed", "POST", "/readyz", yes, yes, false, 405, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			adminRoutes(metrics, tc.alive, tc.ready, tc.profiles).ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.says) {
				t.Errorf("%d %q, want %d with %q", w.Code, w.Body, tc.status, tc.says)
			}
		})
	}
}
