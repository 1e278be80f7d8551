package console_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/console"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/internal/records"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = processtest.Patience

var recordsPage = records.Page{Limit: records.MaxLimit}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var epoch = time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)

// world is a console over records that a test fills.
type world struct {
	t       *testing.T
	store   *records.Store
	writer  *records.Writer
	decoder *capture.Decoder
	console *console.Server
	server  *httptest.Server
	ops     *operations

	mu   sync.Mutex
	time time.Time
	last map[string]uint64 // sequence of each trade
	seq  uint64
	dead uint64
}

// newWorld starts a console. change completes its options.
func newWorld(t *testing.T, change func(*console.Options)) *world {
	t.Helper()
	w := &world{t: t, ops: &operations{}, time: epoch.Add(time.Hour), last: map[string]uint64{}}
	dsn := filepath.Join(t.TempDir(), "records.db")
	filling, err := records.Open(t.Context(), dsn, records.Options{})
	w.check(err)
	w.writer, err = filling.Writer(t.Context())
	w.check(err)
	for source, stream := range map[records.Source]string{records.SourceLedger: "CAPTURES", records.SourceDeadLetters: "CAPTURE_DLQ"} {
		w.check(w.writer.Begin(t.Context(), records.Place{Source: source, Stream: stream, Created: epoch, First: 1}))
	}
	w.store, err = records.OpenReader(t.Context(), dsn, records.Options{})
	w.check(err)
	w.decoder, err = capture.NewDecoder(capture.Mapping{})
	w.check(err)
	o := console.Options{Records: w.store, Decoder: w.decoder, Operations: w.ops, Now: w.now, Version: "test", AttentionAfter: 24 * time.Hour}
	if change != nil {
		change(&o)
	}
	w.console, err = console.New(o)
	w.check(err)
	w.server = httptest.NewServer(w.console.Handler())
	t.Cleanup(func() {
		w.server.CloseClientConnections()
		w.server.Close()
		w.check(w.store.Close())
		w.check(filling.Close())
	})
	return w
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.time
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.time = w.time.Add(d)
}

// add appends events to the ledger of the records.
func (w *world) add(events ...capture.Event) {
	w.t.Helper()
	var entries []records.Entry
	for _, e := range events {
		w.seq++
		if e.ID == "" {
			e.ID = fmt.Sprintf("e%d", w.seq)
		}
		if e.Time.IsZero() {
			e.Time = epoch.Add(time.Duration(w.seq) * time.Second)
		}
		if e.Worker == "" {
			e.Worker = "w1"
		}
		raw, err := e.Encode()
		w.check(err)
		entries = append(entries, records.Entry{Seq: w.seq, Stored: e.Time, Trade: e.TradeID, Type: e.Type, After: w.last[e.TradeID], Raw: raw})
		w.last[e.TradeID] = w.seq
	}
	w.check(w.writer.ApplyEvents(w.t.Context(), entries))
}

// letter adds a dead letter.
func (w *world) letter(reason, detail, body string, header nats.Header) uint64 {
	w.t.Helper()
	w.dead++
	h := nats.Header{"Capture-Reason": {reason}, "Capture-Detail": {detail}, "Capture-Subject": {"capture.jobs.shipped"}, "Capture-Stream": {"CAPTURE_JOBS"}, "Capture-Sequence": {"7"}}
	for name, values := range header {
		h[name] = values
	}
	w.check(w.writer.ApplyLetters(w.t.Context(), []records.Message{{Seq: w.dead, Stored: epoch, Subject: "capture.dlq." + reason, Header: h, Body: []byte(body)}}, w.decoder))
	return w.dead
}

func amount(t *testing.T, number string) capture.Amount {
	t.Helper()
	a, err := capture.ParseAmount(number, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// captured adds a trade that was captured, parked one that needs an operator.
func (w *world) captured(trade, order string) {
	job := &capture.Job{TradeID: trade, OrderID: order, Amount: amount(w.t, "24.99"), AuthorizedAt: epoch.Add(-time.Hour)}
	answer := &capture.Answer{Kind: capture.AnswerDone, ResponseID: "R-" + trade, Latency: 20 * time.Millisecond, Order: &capture.Order{State: capture.OrderPaid, Amount: job.Amount, TransactionID: "TX-" + trade}}
	w.add(capture.Event{Type: capture.Attempted, TradeID: trade, OrderID: order, Attempt: 1, Call: 1, RequestID: "req" + trade, LeaseUntil: epoch.Add(time.Minute), Job: job},
		capture.Event{Type: capture.Captured, TradeID: trade, OrderID: order, Attempt: 1, Call: 1, Via: capture.ViaCapture, Answer: answer, Amount: "24.99", Currency: "EUR"})
}

func (w *world) parked(trade, order string) {
	job := &capture.Job{TradeID: trade, OrderID: order, Amount: amount(w.t, "59.90"), AuthorizedAt: epoch.Add(-time.Hour)}
	w.add(capture.Event{Type: capture.Attempted, TradeID: trade, OrderID: order, Attempt: 1, Call: 1, RequestID: "req" + trade, LeaseUntil: epoch.Add(time.Minute), Job: job},
		capture.Event{Type: capture.Parked, TradeID: trade, OrderID: order, Reason: capture.ReasonUnresolved, Amount: "59.90", Currency: "EUR"})
}

// operations stands for the commands: it notes what it is asked to do.
type operations struct {
	mu   sync.Mutex
	done []string
	seq  uint64 // of every trade
	high bool   // every sum needs an approver
}

func (o *operations) note(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done = append(o.done, fmt.Sprintf(format, args...))
}

func (o *operations) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.done)
}

func (o *operations) Kinds() []string {
	return []string{console.KindRelease, console.KindRetry, console.KindDismiss}
}

func (o *operations) Look(context.Context, string) (console.Preview, error) {
	return console.Preview{Answer: &capture.Answer{Kind: capture.AnswerDone}, Would: "nothing"}, nil
}

func (o *operations) Preview(context.Context, console.Act) (console.Preview, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return console.Preview{Seq: o.seq, Eligible: true, Would: "it would", Answer: &capture.Answer{Kind: capture.AnswerDone}}, nil
}

func (o *operations) Do(_ context.Context, a console.Act, seq uint64) (console.Done, error) {
	o.mu.Lock()
	changed, high := seq != o.seq, o.high
	o.mu.Unlock()
	switch {
	case changed:
		return console.Done{}, console.ErrChanged
	case high && a.ApprovedBy == "":
		return console.Done{}, console.ErrApproval
	case high:
		a.By += ", approved by " + a.ApprovedBy
	}
	o.note("%s %s by %s: %s", a.Kind, a.Trade, a.By, a.Note)
	return console.Done{OK: true, Text: "done"}, nil
}

func (o *operations) Republish(_ context.Context, a console.LetterAct) (console.Done, error) {
	o.note("republish %d by %s: %s %s", a.Letter, a.By, a.Note, a.Body)
	return console.Done{OK: true, Text: "done"}, nil
}

func (o *operations) DismissLetter(_ context.Context, a console.LetterAct) (console.Done, error) {
	o.note("dismiss letter %d by %s: %s", a.Letter, a.By, a.Note)
	return console.Done{OK: true, Text: "done"}, nil
}

func (o *operations) Lanes(context.Context) ([]console.Lane, error) {
	return []console.Lane{{Name: "all", Ready: 3}}, nil
}

func (o *operations) PauseLane(_ context.Context, lane string, until time.Time, by, note string) error {
	o.note("lane %s paused=%t by %s: %s", lane, !until.IsZero(), by, note)
	return nil
}

// request is one request to the console.
type request struct {
	method, path string
	form         url.Values
	header       map[string]string
	cookie       *http.Cookie
}

// ask sends a request, and returns the answer and its body. No redirect is followed.
func (w *world) ask(r request) (*http.Response, string) {
	w.t.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(w.t.Context(), r.method, w.server.URL+r.path, strings.NewReader(r.form.Encode()))
	w.check(err)
	if r.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range r.header {
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	if r.cookie != nil {
		req.AddCookie(r.cookie)
	}
	resp, err := client().Do(req)
	w.check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	w.check(err)
	return resp, string(body)
}

// client follows no redirect, and leaves no connection.
func client() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// withUsers adds a user of each role, whose password is the name.
func withUsers(t *testing.T) func(*console.Options) {
	t.Helper()
	return func(o *console.Options) {
		o.Access.Users = map[string][]byte{}
		for _, name := range []string{"viewer", "operator", "approver"} {
			hash, err := bcrypt.GenerateFromPassword([]byte(name), bcrypt.MinCost)
			if err != nil {
				t.Fatal(err)
			}
			o.Access.Users[name] = hash
		}
		o.Access.Operators, o.Access.Approvers = []string{"operator"}, []string{"approver"}
	}
}

// login returns the cookie of a new session.
func (w *world) login(name string) *http.Cookie {
	w.t.Helper()
	resp, body := w.ask(request{method: http.MethodPost, path: "/login", form: url.Values{"name": {name}, "password": {name}}})
	if resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 1 {
		w.t.Fatalf("logging in as %s: %s %s", name, resp.Status, body)
	}
	return resp.Cookies()[0]
}
