package notify_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
	"github.com/capture-worker/capture-worker/notify"
)

func TestEachFormIsKeptAndResolved(t *testing.T) {
	t.Parallel()
	forms := map[string]func(gateway.Secret, map[string]string) string{"object": signed, "field": formField, "dotted": dotted}
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			defer w.close()
			w.announced("T1", time.Now())
			w.want(w.post(form(secret, data("T1", "PAID"))), http.StatusOK)
			if w.count("T1", capture.Notified) != 1 {
				t.Error("answered ok without the evidence")
			}
			eventually(t, "captured by the query", func() bool { return w.phase("T1") == capture.PhaseCaptured })
			w.want(w.post(form("another key", data("T1", "paid"))), http.StatusUnauthorized)
			if w.handler.Stats().Forged.Load() != 1 {
				t.Error("the forgery was not counted")
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	defer w.close()
	for name, c := range map[string]struct {
		method, body string
		status       int
	}{
		"not POST":       {http.MethodGet, signed(secret, data("T1", "paid")), http.StatusMethodNotAllowed},
		"empty":          {http.MethodPost, "", http.StatusBadRequest},
		"not JSON":       {http.MethodPost, "hello", http.StatusBadRequest},
		"no trade":       {http.MethodPost, signed(secret, map[string]string{"state": "paid"}), http.StatusBadRequest},
		"too large":      {http.MethodPost, strings.Repeat(" ", notify.MaxBody+1), http.StatusRequestEntityTooLarge},
		"just not":       {http.MethodPost, strings.Repeat(" ", notify.MaxBody), http.StatusBadRequest},
		"forged":         {http.MethodPost, signed("x", data("T1", "paid")), http.StatusUnauthorized},
		"no trade of us": {http.MethodPost, signed(secret, data("T9", "paid")), http.StatusOK},
	} {
		r := httptest.NewRequest(c.method, "/notify", strings.NewReader(c.body))
		if answer := w.serve(r); answer.Code != c.status || strings.Contains(answer.Body.String(), "sign") {
			t.Errorf("%s: %d %q, want %d and no detail", name, answer.Code, answer.Body, c.status)
		}
		// Once more without a length, as a chunked body comes.
		r = httptest.NewRequest(c.method, "/notify", strings.NewReader(c.body))
		r.ContentLength = -1
		if answer := w.serve(r); answer.Code != c.status {
			t.Errorf("%s, chunked: %d, want %d", name, answer.Code, c.status)
		}
	}
	s := w.handler.Stats()
	if s.NotOurs.Load() != 2 || s.TooLarge.Load() != 2 || s.Forged.Load() != 2 || s.Malformed.Load() != 10 || w.queries.Load() != 0 {
		t.Errorf("not ours %d, too large %d, forged %d, malformed %d, queries %d",
			s.NotOurs.Load(), s.TooLarge.Load(), s.Forged.Load(), s.Malformed.Load(), w.queries.Load())
	}
}

// The current and the previous key are believed, whatever they are by now.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	var keys atomic.Pointer[[]gateway.Secret]
	keys.Store(&[]gateway.Secret{"old", ""})
	w := newWorld(t, func(c *notify.Config, _ *world) { c.Secrets = func() []gateway.Secret { return *keys.Load() } })
	defer w.close()
	try := func(key gateway.Secret, status int) {
		t.Helper()
		w.want(w.post(signed(key, data("T9", "paid"))), status)
	}
	try("old", http.StatusOK)
	try("new", http.StatusUnauthorized)
	try("", http.StatusUnauthorized)
	keys.Store(&[]gateway.Secret{"new", "old"})
	try("old", http.StatusOK)
	try("new", http.StatusOK)
	keys.Store(&[]gateway.Secret{"new"})
	try("old", http.StatusUnauthorized)
	try("new", http.StatusOK)
}

func TestSources(t *testing.T) {
	t.Parallel()
	gatewayNet, proxies := netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("10.0.0.0/8")
	direct := notify.Sources{Allow: []netip.Prefix{gatewayNet}}
	proxied := notify.Sources{Allow: []netip.Prefix{gatewayNet}, ProxyHeader: "X-Forwarded-For", TrustedProxies: []netip.Prefix{proxies}}
	for _, c := range []struct {
		name    string
		sources notify.Sources
		from    string
		hops    []string
		want    bool
	}{
		{"no list", notify.Sources{}, "198.51.100.1:9", nil, true},
		{"in the list", direct, "203.0.113.7:9", nil, true},
		{"in the list, as IPv6", direct, "[::ffff:203.0.113.7]:9", nil, true},
		{"not in the list", direct, "198.51.100.1:9", nil, false},
		{"an unexpected header", direct, "198.51.100.1:9", []string{"203.0.113.7"}, false},
		{"through the proxy", proxied, "10.1.2.3:9", []string{"203.0.113.7"}, true},
		{"through two proxies", proxied, "10.1.2.3:9", []string{"203.0.113.7, 10.9.9.9"}, true},
		{"two header lines", proxied, "10.1.2.3:9", []string{"203.0.113.7", "10.9.9.9"}, true},
		{"with a port", proxied, "10.1.2.3:9", []string{"203.0.113.7:4711"}, true},
		{"made up on the left", proxied, "10.1.2.3:9", []string{"203.0.113.7, 198.51.100.1"}, false},
		{"not through the proxy", proxied, "198.51.100.1:9", []string{"203.0.113.7"}, false},
		{"no header", proxied, "10.1.2.3:9", nil, false},
		{"not an address", proxied, "10.1.2.3:9", []string{"203.0.113.7, unknown"}, false},
		{"no remote address", direct, "@", nil, false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/notify", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = c.from, c.hops
		if got := c.sources.Allowed(r); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
	w := newWorld(t, func(c *notify.Config, _ *world) { c.Sources = direct })
	defer w.close()
	w.want(w.post(signed(secret, data("T1", "paid"))), http.StatusForbidden)
	if w.handler.Stats().Denied.Load() != 1 {
		t.Error("not counted")
	}
}

// What is in the ledger need not be written again; what contradicts it is kept.
func TestWhatIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *notify.Config, _ *world) { c.PerTrade = 5 })
	defer w.close()
	w.shut.Store(true) // the queries are not the subject
	w.announced("T1", time.Now())
	send := func(state string) { t.Helper(); w.want(w.post(signed(secret, data("T1", state))), http.StatusOK) }
	wantEvents := func(what string, n int) {
		t.Helper()
		if got := w.count("T1", capture.Notified); got != n {
			t.Errorf("%s: %d notified events, want %d", what, got, n)
		}
	}
	send("pending")
	send("pending")
	wantEvents("a duplicate", 1)
	send("paid")
	wantEvents("news", 2)
	w.ended("T1", capture.Captured, "")
	send("failed")
	wantEvents("a contradiction after captured", 3)
	send("paid")
	wantEvents("a confirmation of captured", 3)
	send("processing")
	wantEvents("an older state that was overtaken", 3)
	for range 20 {
		send("verify")
		send("refunded")
	}
	wantEvents("a trade that is notified without end", 5)
	s := w.handler.Stats()
	if s.Kept.Load() != 5 || s.Redundant.Load() != 2 || s.Capped.Load() == 0 || s.Duplicates.Load() == 0 {
		t.Errorf("kept %d, redundant %d, capped %d, duplicates %d", s.Kept.Load(), s.Redundant.Load(), s.Capped.Load(), s.Duplicates.Load())
	}
	if w.phase("T1") != capture.PhaseCaptured {
		t.Error("captured was taken back")
	}
}

// Trouble of the ledger, in both ways: not done, and done but reported failed.
// The gateway sends again, and there is one event in the end.
func TestTroubleOfTheLedger(t *testing.T) {
	t.Parallel()
	for name, point := range map[string]func(*ledgertest.Faulty, func(ledgertest.Call) error){
		"not done":              func(f *ledgertest.Faulty, fail func(ledgertest.Call) error) { f.Before = fail },
		"done, reported failed": func(f *ledgertest.Faulty, fail func(ledgertest.Call) error) { f.After = fail },
	} {
		for _, op := range []ledgertest.Op{ledgertest.OpLoad, ledgertest.OpAppend} {
			t.Run(name+" "+string(op), func(t *testing.T) {
				t.Parallel()
				var broken atomic.Bool
				faulty := ledgertest.Faulty{Ledger: &ledger.Memory{}}
				point(&faulty, func(c ledgertest.Call) error {
					if broken.Load() && c.Op == op {
						return errors.New("out of reach")
					}
					return nil
				})
				w := newWorld(t, func(_ *notify.Config, w *world) { w.ledger = faulty })
				defer w.close()
				w.announced("T1", time.Now())
				broken.Store(true)
				answer := w.post(signed(secret, data("T1", "paid")))
				w.want(answer, http.StatusServiceUnavailable)
				if answer.Header().Get("Retry-After") == "" || w.handler.Stats().Trouble.Load() != 1 {
					t.Error("no Retry-After, or not counted")
				}
				broken.Store(false)
				w.want(w.post(signed(secret, data("T1", "paid"))), http.StatusOK)
				if w.count("T1", capture.Notified) != 1 {
					t.Error("not exactly one event")
				}
				eventually(t, "captured", func() bool { return w.phase("T1") == capture.PhaseCaptured })
			})
		}
	}
}

// A trade with an outcome is resolved too: no other caller would ask.
func TestParkedAndFailedAreCorrected(t *testing.T) {
	t.Parallel()
	for _, outcome := range []capture.EventType{capture.Parked, capture.Failed} {
		w := newWorld(t, nil)
		w.announced("T1", time.Now())
		w.ended("T1", outcome, capture.ReasonUnresolved)
		w.want(w.post(signed(secret, data("T1", "paid"))), http.StatusOK)
		eventually(t, "corrected", func() bool { return w.phase("T1") == capture.PhaseCaptured })
		w.close()
	}
}

// While a call of the trade is under way, its own answer is waited for; if
// none comes, the query is made when the lease ends.
func TestACallUnderWayIsNotDisturbed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		begin := time.Now()
		w.announced("T1", begin.Add(65*time.Second))
		w.want(w.post(signed(secret, data("T1", "paid"))), http.StatusOK)
		time.Sleep(64 * time.Second)
		if w.queries.Load() != 0 {
			t.Fatal("asked while the call was under way")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if w.queries.Load() != 1 || w.phase("T1") != capture.PhaseCaptured {
			t.Errorf("%d queries, %s: want one, at the end of the lease", w.queries.Load(), w.phase("T1"))
		}
	})
}

// A paused gateway is tried again, for a bounded time.
func TestAShutGatewayIsComeBackTo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		w.shut.Store(true)
		for _, trade := range []string{"T1", "T2"} {
			w.announced(trade, time.Now())
			w.ended(trade, capture.Parked, capture.ReasonUnresolved)
		}
		w.want(w.post(signed(secret, data("T1", "paid"))), http.StatusOK)
		time.Sleep(3 * time.Minute)
		w.shut.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if w.phase("T1") != capture.PhaseCaptured {
			t.Error("not resolved after the gateway came back")
		}
		w.shut.Store(true)
		w.want(w.post(signed(secret, data("T2", "paid"))), http.StatusOK)
		time.Sleep(time.Hour)
		if w.handler.Stats().Dropped.Load() != 1 {
			t.Error("it never gives up")
		}
	})
}
