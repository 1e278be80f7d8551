package console_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/net/html"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/console"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// payloads are texts that would run as a script, or break a page, if one place
// forgot to escape them.
var payloads = []string{
	`<script>pwned()</script>`, `"><img src=x onerror=pwned()>`, `' onmouseover='pwned()`, `javascript:pwned()`, `</textarea><script>pwned()</script>`,
	`</title><script>pwned()</script>`, `<svg/onload=pwned()>`, "`onclick=pwned()`", `{{.Key}}<!--`, `</pre><iframe src=javascript:pwned()>`,
	`<a hx-get="/acts" hx-trigger="load">`, `" sse-connect="//evil.example`, `&lt;script&gt;`, "\u202eevil\u2028", `]]><script>pwned()</script>`, `<base href=//evil.example>`,
}

// attack fills the records with payloads, wherever an outsider's text can be.
func (w *world) attack(payload string, n int) (trade string, letter uint64) {
	trade = fmt.Sprintf("X-%d", n)
	job := &capture.Job{TradeID: trade, OrderID: payload, Description: payload, Amount: amount(w.t, "5.00"), NotifyURL: payload}
	answer := &capture.Answer{
		Kind: capture.AnswerRefused, Code: payload, Why: payload, Message: payload, ResponseID: payload,
		Order: &capture.Order{OrderID: payload, TransactionID: payload, State: capture.OrderState(payload), AmountText: payload, SettlementAmount: payload, SettlementCurrency: payload, ExchangeRate: payload},
	}
	w.add(capture.Event{Type: capture.Attempted, TradeID: trade, OrderID: payload, Attempt: 1, Call: 1, RequestID: payload, Job: job, Worker: payload, Rule: payload},
		capture.Event{Type: capture.Notified, TradeID: trade, Notification: &capture.Notification{State: capture.OrderState(payload), AmountText: payload, OrderID: payload}},
		capture.Event{Type: capture.Queried, TradeID: trade, Via: capture.ViaQuery, Answer: answer},
		capture.Event{Type: capture.Parked, TradeID: trade, OrderID: payload, Via: capture.ViaQuery, Answer: answer, Reason: payload, Worker: payload},
		capture.Event{Type: capture.Released, TradeID: trade, By: payload, Note: payload},
		capture.Event{Type: capture.Parked, TradeID: trade, OrderID: payload, Via: capture.ViaQuery, Answer: answer, Reason: payload})
	body, err := json.Marshal(map[string]string{"trade_id": trade, "amount": payload, "currency": "EUR", "order_id": payload, "description": payload})
	w.check(err)
	w.letter("bad_amount", payload, string(body), nats.Header{"X-Shop": {payload}, "Capture-Subject": {payload}, "Capture-Stream": {payload}})
	return trade, w.letter("not_json", payload, payload, nil)
}

// Whatever a job, the gateway, an operator or a dead letter says, it is a text.
func TestNoTextBecomesAScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *console.Options) {
		withUsers(t)(o)
		o.URL = "http://console.example"
	})
	cookie := w.login("operator")
	corpus := payloads
	if !processtest.Verify() { // some at a time: each page is read once for all of them
		corpus = nil
		for some := range slices.Chunk(payloads, 6) {
			corpus = append(corpus, strings.Join(some, " "))
		}
	}
	for n, payload := range corpus {
		w.pass(time.Minute) // the limits
		trade, letter := w.attack(payload, n)
		paths := []string{
			"/", "/trades/" + trade, "/trades/" + trade + "/proof", "/trades/" + trade + "/release", "/work", "/work?kind=open", "/today", "/acts",
			"/dead-letters", "/dead-letters?all=1", fmt.Sprintf("/dead-letters/%d", letter-1), fmt.Sprintf("/dead-letters/%d", letter),
			"/work?kind=" + url.QueryEscape(payload), "/work?kind=parked&reason=" + url.QueryEscape(payload), "/acts?act=" + url.QueryEscape(payload),
			"/" + url.PathEscape(payload), "/work?cursor=" + url.QueryEscape(payload),
		}
		for _, path := range paths {
			resp, body := w.ask(request{path: path, cookie: cookie})
			w.holds(path, resp, body)
			if path == "/trades/"+trade && strings.Contains(payload, "pwned") && !strings.Contains(textOf(t, body, "live-more"), "pwned") {
				t.Errorf("%s: the page does not show the text", path)
			}
		}
		for path, form := range map[string]url.Values{
			"/search": {"q": {payload}}, "/trades/" + trade + "/release": {"note": {payload}}, "/login": {"name": {payload}, "password": {payload}},
			fmt.Sprintf("/dead-letters/%d/republish", letter): {"body": {payload}, "note": {payload}},
		} {
			resp, body := w.ask(request{method: http.MethodPost, path: path, cookie: cookie, form: form})
			w.holds(path+" with "+payload, resp, body)
		}
	}
}

// holds checks that a page has our scripts only, and the headers of every page.
func (w *world) holds(what string, resp *http.Response, body string) {
	w.t.Helper()
	if resp.StatusCode >= 500 {
		w.t.Errorf("%s: %s %s", what, resp.Status, body)
	}
	h := resp.Header
	if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") ||
		h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" || h.Get("Referrer-Policy") != "no-referrer" {
		w.t.Errorf("%s: the headers %v", what, h)
	}
	root, err := html.Parse(strings.NewReader(body))
	w.check(err)
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "iframe", "object", "embed", "base", "style":
			w.t.Errorf("%s: the page has a %s", what, n.Data)
		case "script":
			if src := attr(n, "src"); !strings.HasPrefix(src, "/assets/") || n.FirstChild != nil {
				w.t.Errorf("%s: the page has a script %q", what, src)
			}
		}
		for _, a := range n.Attr {
			value := strings.ToLower(strings.TrimSpace(a.Val))
			link := a.Key == "href" || a.Key == "src" || a.Key == "action" || a.Key == "formaction" || strings.HasPrefix(a.Key, "hx-get") || a.Key == "sse-connect"
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style", strings.HasPrefix(a.Key, "hx-on"):
				w.t.Errorf("%s: the page has the attribute %s", what, a.Key)
			case link && (strings.HasPrefix(value, "javascript:") || strings.HasPrefix(value, "//") || strings.Contains(value, "://")):
				w.t.Errorf("%s: the page leads to %s", what, value)
			}
		}
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// textOf is the text of the first element with this id.
func textOf(t *testing.T, body, id string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if attr(n, "id") != id {
			continue
		}
		var b strings.Builder
		for d := range n.Descendants() {
			if d.Type == html.TextNode {
				b.WriteString(d.Data)
			}
		}
		return b.String()
	}
	return ""
}

// The page of a trade says what the command show says.
func TestThePageSaysWhatShowSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.parked("T-1", "A-1")
	w.captured("T-2", "A-2")
	w.letter("conflict", "another amount", `{"trade_id":"T-2","amount":"5.00","currency":"EUR","order_id":"A-2"}`, nil)
	for _, id := range []string{"T-1", "T-2"} {
		events, err := w.store.Events(t.Context(), id, recordsPage)
		w.check(err)
		var told []capture.Event
		for _, e := range events.Items {
			event, err := capture.DecodeEvent(e.Raw)
			w.check(err)
			told = append(told, event)
		}
		summary := history.Summarize(told, capture.Fold(told), w.now(), capture.Policy{})
		_, body := w.ask(request{path: "/trades/" + id})
		answer := textOf(t, body, "live")
		for _, part := range []string{summary.State, summary.Why, summary.Next} {
			if part = strings.ReplaceAll(part, "`", ""); len(part) > 1 && !strings.Contains(answer, part[1:]) {
				t.Errorf("%s: the page does not say %q:\n%s", id, part, answer)
			}
		}
		for _, l := range history.New(id, told, capture.Policy{}).Lines() {
			if !strings.Contains(textOf(t, body, "live-more"), l.What) {
				t.Errorf("%s: the timeline does not say %q", id, l.What)
			}
		}
	}
	// A dead letter says how its order stands meanwhile.
	_, body := w.ask(request{path: "/dead-letters/1"})
	if !strings.Contains(body, "Meanwhile 24.99") {
		t.Errorf("the dead letter: %s", body)
	}
}

// Every kind of id leads to its trade, and no URL holds what was searched for.
func TestSearch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.captured("T-2", "A-2")
	w.captured("T-3", "A-3")
	w.captured("T-4", "A-3")
	for _, id := range []string{"T-2", " A-2 ", "reqT-2", "R-T-2", "TX-T-2"} {
		resp, _ := w.ask(request{method: http.MethodPost, path: "/search", form: url.Values{"q": {id}}})
		if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || to != "/trades/T-2" {
			t.Errorf("%q: %s %s", id, resp.Status, to)
		}
	}
	if resp, body := w.ask(request{method: http.MethodPost, path: "/search", form: url.Values{"q": {"A-3"}}}); resp.StatusCode != http.StatusOK || !strings.Contains(body, "/trades/T-3") || !strings.Contains(body, "/trades/T-4") {
		t.Errorf("an order of two trades: %s %s", resp.Status, body)
	}
	if resp, body := w.ask(request{method: http.MethodPost, path: "/search", form: url.Values{"q": {"A-9"}}}); resp.StatusCode != http.StatusOK || !strings.Contains(body, "No trade is known") {
		t.Errorf("an unknown order: %s %s", resp.Status, body)
	}
	for path, want := range map[string]int{"/trades/T-9": 404, "/trades/a%20b": 400, "/trades/..%2f..%2fetc": 400, "/dead-letters/0": 404, "/dead-letters/x": 404, "/nothing": 404, "/work?cursor=x": 400} {
		if resp, _ := w.ask(request{path: path}); resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
	}
}

// A page that is open hears of changes, and of its trade only if it shows one.
func TestLiveUpdates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.parked("T-1", "A-1")
	ctx, stop := context.WithCancel(t.Context())
	listener := listen(t)
	served := make(chan error, 1)
	go func() { served <- w.console.Serve(ctx, listener) }()
	events := func(query string) <-chan string {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listener.Addr().String()+"/live"+query, nil)
		w.check(err)
		resp, err := http.DefaultClient.Do(req)
		w.check(err)
		found := make(chan string, 64)
		go func() {
			defer close(found)
			defer resp.Body.Close()
			for scan := bufio.NewScanner(resp.Body); scan.Scan(); {
				if name, ok := strings.CutPrefix(scan.Text(), "event: "); ok {
					found <- name
				}
			}
		}()
		return found
	}
	all, one := events("?seen=2.0"), events("?trade=T-1&seen=2.0")
	until := func(from <-chan string, want string) {
		t.Helper()
		deadline := time.After(patience)
		for {
			select {
			case name, ok := <-from:
				if !ok {
					t.Fatalf("the connection ended before %s came", want)
				}
				if name == want {
					return
				}
			case <-deadline:
				t.Fatalf("%s never came", want)
			}
		}
	}
	until(all, "status")
	until(one, "status")
	w.captured("T-2", "A-2")
	until(all, "changed")
	w.add(capture.Event{Type: capture.Dismissed, TradeID: "T-1", By: "ann", Note: "by hand"})
	until(one, "changed")
	for len(one) > 0 {
		if name := <-one; name == "changed" {
			t.Error("the page of a trade was changed by another")
		}
	}
	if resp, _ := w.ask(request{path: "/live?trade=a%20b"}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("no trade: %s", resp.Status)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	for range all {
	}
	for range one {
	}
	http.DefaultClient.CloseIdleConnections()
}

// The vendored scripts are those of the table.
func TestVendoredFiles(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("assets/vendor/README.md")
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob("assets/vendor/*.js")
	if err != nil || len(found) != 2 {
		t.Fatalf("%v, %v", found, err)
	}
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(text); !strings.Contains(string(table), hex.EncodeToString(sum[:])) {
			t.Errorf("%s is not the file of the table: its SHA-256 is %x", path, sum)
		}
	}
}
