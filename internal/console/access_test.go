package console_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/capture-worker/capture-worker/internal/console"
)

// acts are all requests that change something.
var acts = []request{
	{method: http.MethodPost, path: "/trades/T-1/ask"},
	{method: http.MethodGet, path: "/trades/T-1/release"},
	{method: http.MethodPost, path: "/trades/T-1/release", form: url.Values{"note": {"why"}}},
	{method: http.MethodPost, path: "/trades/T-1/retry", form: url.Values{"note": {"why"}}},
	{method: http.MethodPost, path: "/trades/T-1/dismiss", form: url.Values{"note": {"why"}}},
	{method: http.MethodPost, path: "/dead-letters/1/republish", form: url.Values{"note": {"why"}}},
	{method: http.MethodPost, path: "/dead-letters/1/dismiss", form: url.Values{"note": {"why"}}},
	{method: http.MethodPost, path: "/lanes/all/pause", form: url.Values{"note": {"why"}, "hours": {"1"}}},
	{method: http.MethodPost, path: "/lanes/all/resume", form: url.Values{"note": {"why"}}},
}

var reads = []string{"/", "/trades/T-1", "/trades/T-1/proof", "/trades/T-1/events.json", "/work", "/work?kind=open", "/dead-letters", "/dead-letters?all=1", "/dead-letters/1", "/today", "/acts"}

func (w *world) someTrades() {
	w.parked("T-1", "A-1")
	w.captured("T-2", "A-2")
	w.letter("bad_amount", "amount is a number", `{"trade_id":"T-9","amount":5,"currency":"EUR","order_id":"A-2"}`, nil)
}

// Without a login, this machine reads and no one acts.
func TestWithoutALoginThisMachineReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.someTrades()
	for _, path := range reads {
		if resp, body := w.ask(request{path: path}); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
		// A page of another site that resolves its name to this machine reads nothing.
		if resp, _ := w.ask(request{path: path, header: map[string]string{"Host": "evil.example"}}); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s under another name: %s", path, resp.Status)
		}
	}
	for _, r := range acts {
		if resp, _ := w.ask(r); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s %s: %s", r.method, r.path, resp.Status)
		}
	}
	if done := w.ops.all(); len(done) > 0 {
		t.Errorf("done: %v", done)
	}
}

// Every act needs the role operator, and read_only turns all of them off.
func TestRolesAreNotEscalated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		user     string
		readOnly bool
		allowed  bool
	}{{"viewer", false, false}, {"operator", false, true}, {"approver", false, true}, {"approver", true, false}} {
		w := newWorld(t, func(o *console.Options) {
			withUsers(t)(o)
			o.ReadOnly = c.readOnly
		})
		w.someTrades()
		cookie := w.login(c.user)
		for _, r := range acts {
			r.cookie = cookie
			resp, body := w.ask(r)
			if refused := resp.StatusCode == http.StatusForbidden; refused == c.allowed {
				t.Errorf("%s, read-only %t: %s %s: %s %s", c.user, c.readOnly, r.method, r.path, resp.Status, body)
			}
		}
		if done := w.ops.all(); !c.allowed && len(done) > 0 {
			t.Errorf("%s: done: %v", c.user, done)
		}
	}
}

// Without a session every page leads to the login, and nothing is shown.
func TestEveryPathNeedsALogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withUsers(t))
	w.someTrades()
	for _, path := range append(reads, "/live", "/api/v1/trades/T-1", "/api/v1/openapi.json") {
		resp, body := w.ask(request{path: path})
		if (resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/login") && resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", path, resp.Status)
		}
		if strings.Contains(body, "59.90") {
			t.Errorf("%s shows money", path)
		}
	}
	for _, r := range acts {
		if resp, _ := w.ask(r); resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusSeeOther {
			t.Errorf("%s %s: %s", r.method, r.path, resp.Status)
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *console.Options) {
		withUsers(t)(o)
		o.Access.Session, o.Access.Idle = 3*time.Hour, time.Hour
	})
	in := func(c *http.Cookie) bool {
		resp, _ := w.ask(request{path: "/work", cookie: c})
		return resp.StatusCode == http.StatusOK
	}
	idle, used := w.login("viewer"), w.login("viewer")
	if !used.HttpOnly || used.SameSite != http.SameSiteLaxMode || used.Secure {
		t.Errorf("the cookie: %v", used)
	}
	for range 3 {
		w.pass(50 * time.Minute)
		// What the page asks by itself keeps no session alive.
		w.ask(request{path: "/work", cookie: idle, header: map[string]string{"HX-Request": "true"}})
		if !in(used) {
			t.Fatal("a session in use has ended")
		}
	}
	if in(idle) {
		t.Error("an idle session continues")
	}
	w.pass(40 * time.Minute)
	if in(used) {
		t.Error("a session outlives its time")
	}
	out := w.login("viewer")
	w.ask(request{method: http.MethodPost, path: "/logout", cookie: out})
	if in(out) {
		t.Error("a session continues after the logout")
	}
	forged := *out
	forged.Value = "AAAAAAAAAAAAAAAAAAAAAAAAAA"
	if in(&forged) {
		t.Error("a forged cookie is accepted")
	}
}

func TestLoginsAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withUsers(t))
	var codes []int
	for range 8 {
		resp, _ := w.ask(request{method: http.MethodPost, path: "/login", form: url.Values{"name": {"operator"}, "password": {"wrong"}}})
		codes = append(codes, resp.StatusCode)
	}
	if codes[0] != http.StatusUnauthorized || codes[7] != http.StatusTooManyRequests {
		t.Errorf("codes %v", codes)
	}
	w.pass(time.Minute)
	w.login("operator")
}

// The identity header counts from the trusted proxies only.
func TestIdentityOfAProxy(t *testing.T) {
	t.Parallel()
	proxied := func(network string) *world {
		return newWorld(t, func(o *console.Options) {
			o.Access = console.Access{
				TrustedProxies: []netip.Prefix{netip.MustParsePrefix(network)}, IdentityHeader: "X-Forwarded-User", GroupsHeader: "X-Forwarded-Groups",
				Viewers: []string{"group:support", "group:finance"}, Operators: []string{"group:finance"},
			}
		})
	}
	trusted, untrusted := proxied("127.0.0.0/8"), proxied("10.0.0.0/8")
	as := func(w *world, user, groups, path, method string) int {
		w.t.Helper()
		resp, _ := w.ask(request{method: method, path: path, form: url.Values{"note": {"why"}}, header: map[string]string{"X-Forwarded-User": user, "X-Forwarded-Groups": groups}})
		return resp.StatusCode
	}
	for _, w := range []*world{trusted, untrusted} {
		w.someTrades()
	}
	for _, c := range []struct {
		w                          *world
		user, groups, path, method string
		want                       int
	}{
		{trusted, "ana", "support", "/work", "GET", 200},
		{trusted, "ana", "support", "/trades/T-1/dismiss", "POST", 403},
		{trusted, "ben", "finance, staff", "/trades/T-1/dismiss", "POST", 200},
		{trusted, "eve", "staff", "/work", "GET", 403},
		{trusted, "", "support", "/work", "GET", 401},
		{trusted, "two\tlines", "support", "/work", "GET", 401},
		{untrusted, "ana", "finance", "/work", "GET", 401},
		{untrusted, "ana", "finance", "/trades/T-1/dismiss", "POST", 401},
	} {
		if got := as(c.w, c.user, c.groups, c.path, c.method); got != c.want {
			t.Errorf("%q of %q, %s %s: %d, want %d", c.user, c.groups, c.method, c.path, got, c.want)
		}
	}
}

// A page of another site cannot act with a user's session.
func TestRequestsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withUsers(t))
	w.someTrades()
	cookie := w.login("operator")
	for _, header := range []map[string]string{
		{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"},
	} {
		for _, r := range acts {
			if r.method == http.MethodGet {
				continue
			}
			r.cookie, r.header = cookie, header
			if resp, _ := w.ask(r); resp.StatusCode != http.StatusForbidden {
				t.Errorf("%v: %s: %s", header, r.path, resp.Status)
			}
		}
	}
	if done := w.ops.all(); len(done) > 0 {
		t.Errorf("done: %v", done)
	}
}

func TestBodiesAndRequestsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withUsers(t))
	w.someTrades()
	cookie := w.login("operator")
	resp, _ := w.ask(request{method: http.MethodPost, path: "/search", cookie: cookie, form: url.Values{"q": {strings.Repeat("x", 2<<20)}}})
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a body of 2 MB: %s", resp.Status)
	}
	codes := map[int]int{}
	for range 120 {
		resp, _ := w.ask(request{path: "/acts", cookie: cookie})
		codes[resp.StatusCode]++
	}
	if codes[http.StatusTooManyRequests] == 0 || codes[http.StatusOK] < 90 {
		t.Errorf("codes %v", codes)
	}
}

var token = regexp.MustCompile(`name="token" value="([^"]+)"`)

// What is done is what was shown, a short time ago.
func TestAnActNeedsAFreshAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withUsers(t))
	w.someTrades()
	cookie := w.login("operator")
	form := func(note, token string) request {
		return request{method: http.MethodPost, path: "/trades/T-1/release", cookie: cookie, form: url.Values{"note": {note}, "token": {token}}}
	}
	preview := func() string {
		resp, body := w.ask(form("the gateway is back", ""))
		found := token.FindStringSubmatch(body)
		if resp.StatusCode != http.StatusOK || found == nil {
			t.Fatalf("%s %s", resp.Status, body)
		}
		return found[1]
	}
	fresh := preview()
	for _, c := range []struct {
		what string
		r    request
		want int
	}{
		{"no reason", form("", ""), http.StatusUnprocessableEntity},
		{"two lines", form("a\nb", ""), http.StatusUnprocessableEntity},
		{"another reason", form("because", fresh), http.StatusConflict},
		{"a forged token", form("the gateway is back", "0.9999999999.00"), http.StatusConflict},
		{"another act", request{method: http.MethodPost, path: "/trades/T-1/dismiss", cookie: cookie, form: url.Values{"note": {"the gateway is back"}, "token": {fresh}}}, http.StatusConflict},
		{"another trade", request{method: http.MethodPost, path: "/trades/T-2/release", cookie: cookie, form: url.Values{"note": {"the gateway is back"}, "token": {fresh}}}, http.StatusConflict},
		{"another user", request{method: http.MethodPost, path: "/trades/T-1/release", cookie: w.login("approver"), form: url.Values{"note": {"the gateway is back"}, "token": {fresh}}}, http.StatusConflict},
	} {
		if resp, _ := w.ask(c.r); resp.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", c.what, resp.Status, c.want)
		}
	}
	w.pass(3 * time.Minute)
	if resp, _ := w.ask(form("the gateway is back", fresh)); resp.StatusCode != http.StatusConflict {
		t.Errorf("an old answer: %s", resp.Status)
	}
	fresh = preview()
	w.ops.seq = 9 // another writer
	if resp, _ := w.ask(form("the gateway is back", fresh)); resp.StatusCode != http.StatusConflict {
		t.Errorf("a changed trade: %s", resp.Status)
	}
	if done := w.ops.all(); len(done) > 0 {
		t.Errorf("done: %v", done)
	}
	fresh = preview()
	if resp, _ := w.ask(form("the gateway is back", fresh)); resp.StatusCode != http.StatusOK {
		t.Errorf("the act: %s", resp.Status)
	}
	if done := w.ops.all(); len(done) != 1 || done[0] != "release T-1 by operator: the gateway is back" {
		t.Errorf("done: %v", done)
	}
}

var approvalLink = regexp.MustCompile(`/approvals/\w+`)

// A high sum needs an approver who is not the one that asks.
func TestHighSumsNeedAnApprover(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *console.Options) {
		withUsers(t)(o)
		o.Access.Approvers = []string{"approver", "viewer"}
	})
	w.someTrades()
	w.ops.high = true
	twice := func(path, user string, form url.Values) (int, string) { // the preview, and the act
		t.Helper()
		cookie := w.login(user)
		resp, body := w.ask(request{method: http.MethodPost, path: path, cookie: cookie, form: form})
		found := token.FindStringSubmatch(body)
		if found == nil {
			return resp.StatusCode, body
		}
		form.Set("token", found[1])
		resp, body = w.ask(request{method: http.MethodPost, path: path, cookie: cookie, form: form})
		return resp.StatusCode, body
	}
	link := func() string {
		w.pass(time.Minute) // the limit of logins
		_, body := w.ask(request{path: "/work", cookie: w.login("viewer")})
		return approvalLink.FindString(body)
	}
	note := func() url.Values { return url.Values{"note": {"shipped"}} }
	if code, _ := twice("/trades/T-1/release", "approver", note()); code != http.StatusOK || len(w.ops.all()) > 0 || link() == "" {
		t.Fatalf("the request: %d, done %v", code, w.ops.all())
	}
	if code, _ := twice(link(), "approver", url.Values{}); code != http.StatusForbidden {
		t.Errorf("one approves what they ask for: %d", code)
	}
	if code, _ := twice(link(), "operator", url.Values{}); code != http.StatusForbidden {
		t.Errorf("an operator approves: %d", code)
	}
	if code, _ := twice(link()+"/refuse", "viewer", url.Values{}); code != http.StatusSeeOther || link() != "" {
		t.Errorf("the refusal: %d", code)
	}
	twice("/trades/T-1/release", "operator", note())
	if code, body := twice(link(), "viewer", url.Values{"note": {"shipped"}}); code != http.StatusOK {
		t.Errorf("the approval: %d %s", code, body)
	}
	if done := w.ops.all(); len(done) != 1 || done[0] != "release T-1 by operator, approved by viewer: shipped" || link() != "" {
		t.Errorf("done: %v", done)
	}
	twice("/trades/T-1/release", "operator", note())
	old := link()
	w.pass(25 * time.Hour)
	if code, _ := twice(old, "viewer", url.Values{}); code != http.StatusNotFound {
		t.Errorf("an old request: %d", code)
	}
}

// The trade of a dead letter changes with an approver only.
func TestTheTradeOfADeadLetterNeedsAnApprover(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withUsers(t))
	w.someTrades()
	fix := func(user, trade, token string) (int, string) {
		body := `{"trade_id":"` + trade + `","amount":"5.00","currency":"EUR","order_id":"A-2"}`
		resp, page := w.ask(request{method: http.MethodPost, path: "/dead-letters/1/republish", cookie: w.login(user), form: url.Values{"note": {"fixed"}, "body": {body}, "token": {token}}})
		return resp.StatusCode, page
	}
	if code, _ := fix("operator", "T-8", ""); code != http.StatusForbidden {
		t.Errorf("an operator changes the trade: %d", code)
	}
	code, page := fix("approver", "T-8", "")
	found := token.FindStringSubmatch(page)
	if code != http.StatusOK || found == nil {
		t.Fatalf("an approver: %d %s", code, page)
	}
	if code, _ := fix("operator", "T-8", found[1]); code != http.StatusForbidden {
		t.Errorf("an operator with the approver's token: %d", code)
	}
	if code, _ := fix("operator", "T-9", ""); code != http.StatusOK {
		t.Errorf("an operator corrects the amount: %d", code)
	}
	if done := w.ops.all(); len(done) > 0 {
		t.Errorf("done: %v", done)
	}
}

func TestFilesOfUsersAndTokens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "users")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users, err := console.ReadUsers(write("# support\nana:" + string(hash) + "\n\nben:" + string(hash) + "\n"))
	if err != nil || len(users) != 2 {
		t.Errorf("%v, %v", users, err)
	}
	for _, bad := range []string{"", "ana", "ana:plain", "ana:" + string(hash) + "\nana:" + string(hash), ":" + string(hash), "a\u200bna\x00:" + string(hash), "ana:$2y$31$" + strings.Repeat("a", 53)} {
		_, err := console.ReadUsers(write(bad))
		if !errors.Is(err, console.ErrUsers) {
			t.Errorf("%q: %v", bad, err)
		}
		if err != nil && strings.Contains(err.Error(), "plain") {
			t.Errorf("the error shows what the file holds: %v", err)
		}
	}
	if _, err := console.ReadUsers(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	sum := sha256.Sum256([]byte("secret"))
	tokens, err := console.ReadTokens(write("shop:" + hex.EncodeToString(sum[:])))
	if err != nil || tokens["shop"] != sum {
		t.Errorf("%v, %v", tokens, err)
	}
	if _, err := console.ReadTokens(write("shop:abc")); !errors.Is(err, console.ErrUsers) {
		t.Errorf("a short hash: %v", err)
	}
}
