//go:build unix

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

const (
	saysPaused       = `level=ERROR msg="job intake paused, refusals`
	saysIntakeAgain  = `msg="job intake resumed"`
	saysLedgerBehind = `level=ERROR msg="ledger behind its jobs`
)

// withStreams makes the streams as the first worker would, so that jobs can be
// published before it starts.
func withStreams(b *broker) *broker {
	b.t.Helper()
	_, err := jobstream.Ensure(b.t.Context(), b.js, jobstream.Config{
		Jobs: jobsStream, Subjects: []string{"capture.jobs.>"}, DLQ: dlqStream, Replicas: 1,
		Consumers: []jobstream.ConsumerConfig{{Name: consumerName, Subjects: []string{"capture.jobs.>"}}},
		AckWait:   3 * time.Second, MaxAckPending: 50_000,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return b
}

// front stands before the simulated gateway and refuses everything with a code
// as long as it has one.
type front struct {
	url  string
	code atomic.Value // string
}

func startFront(t *testing.T, s *sim, code string) *front {
	t.Helper()
	f := &front{}
	f.code.Store(code)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client went away
		}
		if code := f.code.Load().(string); code != "" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"status":false,"code":%q,"message":"refused","data":null}`, code)
			return
		}
		answer, err := s.client.Post(s.url, "application/json", bytes.NewReader(body))
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body) // a client that is gone hears no more
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// ended counts the trades that have an outcome, by what it is.
func ended(b *broker, orders []order) map[capture.EventType]int {
	b.t.Helper()
	counts := map[capture.EventType]int{}
	for _, o := range orders {
		if events := b.events(o.trade.TradeID); len(events) > 0 {
			counts[events[len(events)-1].Type]++
		}
	}
	return counts
}

// TestRequestsRefusedForAWhile is an acceptance test: a gateway that answers -3001 to everything for a while: at most 3
// trades end, the rest are captured after it recovers, untouched by hands.
func TestRequestsRefusedForAWhile(t *testing.T) {
	t.Parallel()
	b, s := withStreams(startBroker(t)), startSim(t)
	f := startFront(t, s, capture.CodeFieldMissing)
	orders := plain(t, "request", 60)
	place(b, s, orders)
	w := startWorker(t, "w", workerEnv(b, s, "CAPTURE_GATEWAY_URL="+f.url))
	w.Says(saysPaused, 1, patience)
	w.Says("code=-3001", 1, patience)
	time.Sleep(3 * time.Second) // it tries, and is refused
	n := ended(b, orders)
	if got := n[capture.Failed] + n[capture.Parked]; got > 3 {
		t.Errorf("%d trades ended: %v", got, n)
	}
	f.code.Store("")
	w.Says(saysIntakeAgain, 1, patience)
	b.waitDone(patience)
	allCaptured(b, s, orders)
	w.Stop(patience)
}

// TestAccountWithoutTheTrades is an acceptance test: a gateway that knows none of the trades: intake stops within 20
// trades, says why and fails none; after the trades appear all are captured,
// untouched by hands. Before that, one job at a time is tried.
func TestAccountWithoutTheTrades(t *testing.T) {
	t.Parallel()
	b, s := withStreams(startBroker(t)), startSim(t)
	orders := plain(t, "account", 100)
	publishOnly(b, orders)
	w := startWorker(t, "w", workerEnv(b, s))
	w.Says(saysPaused, 1, patience)
	w.Says("gateway.user", 1, patience)
	time.Sleep(3 * time.Second) // longer than an authorization is believed to be dead
	nothingEnded(b)
	authorizeOnly(s, orders)
	w.Says(saysIntakeAgain, 1, patience)
	b.waitDone(patience)
	allCaptured(b, s, orders)
	w.Stop(patience)
}

func publishOnly(b *broker, orders []order) {
	b.t.Helper()
	for _, o := range orders {
		for _, job := range o.jobs {
			body, err := json.Marshal(job)
			if err != nil {
				b.t.Fatal(err)
			}
			b.publish(jobsSubject, body)
		}
	}
}

func authorizeOnly(s *sim, orders []order) {
	s.t.Helper()
	for _, o := range orders {
		s.authorize(o.trade)
	}
}

// TestDeadAuthorizationsAmongGoodOnes is an acceptance test: dead authorizations among good ones: all are settled without an
// operator.
func TestDeadAuthorizationsAmongGoodOnes(t *testing.T) {
	t.Parallel()
	b, s := withStreams(startBroker(t)), startSim(t)
	good, dead := plain(t, "good", deadBatch/10), plain(t, "dead", deadBatch)
	for i := range dead {
		dead[i].known = false
	}
	all := append(append([]order(nil), good...), dead...)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	place(b, s, all)
	begin := time.Now()
	w := startWorker(t, "w", workerEnv(b, s))
	processtest.WaitFor(t, 2*patience, "the good ones to be captured", func() bool { return s.stats().Effects >= int64(len(good)) })
	goodTook := time.Since(begin)
	b.waitDone(2 * patience)
	t.Logf("%d good trades captured in %s, %d dead ones settled in %s", len(good), goodTook.Round(time.Millisecond), len(dead), time.Since(begin).Round(time.Millisecond))
	n := ended(b, all)
	if n[capture.Captured] != len(good) || n[capture.Failed] != len(dead) {
		t.Errorf("of %d good and %d dead ones: %v", len(good), len(dead), n)
	}
	w.Stop(patience)
}

// deadBatch is how many authorizations are dead. 10,000 were tried by hand, see
// docs/operations.md.
const deadBatch = 500

// TestRestoredLedgerIsNoticed is an acceptance test: an older ledger is restored under a running queue, and the jobs of
// the lost time come again: no trade is called a second time before an operator
// has accepted the ledger.
func TestRestoredLedgerIsNoticed(t *testing.T) {
	t.Parallel()
	b, s := withStreams(startBroker(t)), startSim(t)
	old, lost, later := plain(t, "old", 3), plain(t, "lost", 5), plain(t, "later", 5)
	place(b, s, old)
	w := startWorker(t, "before", workerEnv(b, s))
	b.waitDone(patience)
	kept := b.messages(ledger.DefaultStream)
	place(b, s, lost)
	b.waitDone(patience)
	w.Stop(patience)
	called := s.stats().Captures
	restoreLedger(b, kept)
	publishOnly(b, lost)
	w = startWorker(t, "after", workerEnv(b, s))
	w.Says(saysLedgerBehind, 1, patience)
	b.waitDone(patience)
	if n := s.stats().Captures - called; n != 0 {
		t.Errorf("%d capture calls for trades that were captured", n)
	}
	if n := ended(b, lost); n[capture.Captured] != len(lost) {
		t.Errorf("the trades of the lost time: %v", n)
	}
	// A restart does not forget it; an operator ends it.
	w.Stop(patience)
	w = startWorker(t, "again", workerEnv(b, s))
	w.Says(saysLedgerBehind, 1, patience)
	if code, out := processtest.Finish(t, patience, "resume", workerEnv(b, s), workerProgram,
		"resume", "--ledger", "--by", "e2e", "--reason", "reconciled"); code != 0 {
		t.Fatalf("resume ended with %d: %s", code, out)
	}
	w.Says("ledger accepted by operator", 1, patience)
	queries := s.stats().Queries
	place(b, s, later)
	b.waitDone(patience)
	if n := s.stats().Queries - queries; n != 0 {
		t.Errorf("%d queries for first calls after the ledger was accepted", n)
	}
	w.Stop(patience)
	startWorker(t, "accepted", workerEnv(b, s)).Stop(patience)
	if n := ended(b, append(old, later...)); n[capture.Captured] != len(old)+len(later) {
		t.Errorf("the others: %v", n)
	}
	if n := s.stats().Captures - called; n != int64(len(later)) {
		t.Errorf("%d capture calls in all after the restore, want one for each new trade", n)
	}
}

// restoreLedger puts an older ledger in the place of the present one.
func restoreLedger(b *broker, kept []*jetstream.RawStreamMsg) {
	b.t.Helper()
	if err := b.js.DeleteStream(b.t.Context(), ledger.DefaultStream); err != nil {
		b.t.Fatal(err)
	}
	if _, err := ledger.EnsureStream(b.t.Context(), b.js, ledger.StreamConfig{}); err != nil {
		b.t.Fatal(err)
	}
	for _, m := range kept {
		event, err := capture.DecodeEvent(m.Data)
		if err != nil {
			b.t.Fatal(err)
		}
		last, _, err := b.book.Last(b.t.Context(), event.TradeID)
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := b.book.Append(b.t.Context(), event, last.Seq); err != nil {
			b.t.Fatal(err)
		}
	}
}
