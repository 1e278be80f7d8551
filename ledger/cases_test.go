package ledger_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

func parkedTrades(t *testing.T, c *ledger.Cases, after uint64) (trades []string, last uint64) {
	t.Helper()
	for p, err := range c.Parked(t.Context(), after) {
		if err != nil {
			t.Fatal(err)
		}
		trades, last = append(trades, p.TradeID), p.Seq
	}
	return trades, last
}

// The stream fills itself with the past and the present of the ledger, with the
// events that open or change a case and no others.
func TestCasesAreCopiedFromTheLedger(t *testing.T) {
	js := connect(t, server(t).URL())
	ensure(t, js, ledger.StreamConfig{})
	w := &parkedWorld{t: t, js: js, l: ledger.NewJetStream(js, ledger.Options{}), after: map[string]uint64{}}
	w.add("past", capture.Attempted, capture.Answered, capture.Queried, capture.Parked)
	w.add("done", capture.Attempted, capture.Captured)
	w.add("other", capture.Attempted, capture.Parked, capture.Dismissed)
	for range 2 { // the second time there it is
		if found, err := ledger.EnsureCases(t.Context(), js, ledger.StreamConfig{}); err != nil || len(found) > 0 {
			t.Fatal(found, err)
		}
	}
	w.copied()
	w.add("failed", capture.Attempted, capture.Failed, capture.Notified, capture.Retried, capture.Withdrawn)
	w.add("past", capture.Released, capture.Attempted, capture.Parked)
	w.copied()
	cases := w.l.Cases("")
	trades, last := parkedTrades(t, cases, 0)
	if !slices.Equal(trades, []string{"past", "other"}) {
		t.Errorf("parked: %v", trades)
	}
	if again, _ := parkedTrades(t, cases, last); !slices.Equal(again, []string{"past"}) {
		t.Errorf("parked after sequence %d: %v", last, again)
	}
	trades, upTo, err := cases.TradesSince(t.Context(), capture.Notified, 0)
	if err != nil || !slices.Equal(trades, []string{"failed"}) {
		t.Errorf("notified: %v, %v", trades, err)
	}
	if more, end, err := cases.TradesSince(t.Context(), capture.Notified, upTo); err != nil || len(more) > 0 || end != w.cases {
		t.Errorf("notified after %d: %v up to %d, %v", upTo, more, end, err)
	}
	processtest.WaitFor(t, processtest.Patience, "the copy to be complete", func() bool {
		lag, err := cases.Lag(t.Context())
		return err == nil && !lag.Behind()
	})
}

func TestCasesStreamsThatDoNotSuit(t *testing.T) {
	js := connect(t, server(t).URL())
	ensure(t, js, ledger.StreamConfig{})
	all := func() (filters []jetstream.SubjectTransformConfig) {
		for _, kind := range ledger.CaseTypes() {
			filters = append(filters, jetstream.SubjectTransformConfig{Source: ledger.Subject("*", kind)})
		}
		return filters
	}
	for name, c := range map[string]struct {
		change func(*jetstream.StreamConfig)
		want   int
	}{
		"as it should be": {func(*jetstream.StreamConfig) {}, 0},
		"the whole ledger": {func(s *jetstream.StreamConfig) {
			s.Sources[0].SubjectTransforms, s.Sources[0].FilterSubject = nil, "captures.*.*"
		}, 0},
		"a type missing": {func(s *jetstream.StreamConfig) { s.Sources[0].SubjectTransforms = all()[1:] }, 1},
		"renamed subjects": {func(s *jetstream.StreamConfig) {
			s.Sources[0].SubjectTransforms[0].Destination = "x.{{wildcard(1)}}.parked"
		}, 1},
		"no source":      {func(s *jetstream.StreamConfig) { s.Sources, s.Subjects = nil, []string{"x"} }, 1},
		"no direct gets": {func(s *jetstream.StreamConfig) { s.AllowDirect = false }, 1},
		"a short memory": {func(s *jetstream.StreamConfig) { s.MaxAge = 24 * time.Hour }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := jetstream.StreamConfig{Name: ledger.DefaultCases, AllowDirect: true, Sources: []*jetstream.StreamSource{{Name: ledger.DefaultStream, SubjectTransforms: all()}}}
			c.change(&s)
			if _, err := js.CreateStream(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			found, err := ledger.EnsureCases(t.Context(), js, ledger.StreamConfig{})
			if err != nil || len(found) != c.want {
				t.Errorf("%d findings, %v; want %d: %v", len(found), err, c.want, found)
			}
			if err := js.DeleteStream(t.Context(), ledger.DefaultCases); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// After an older backup of the ledger was restored, the server copies nothing
// until the ledger is as long as it was: that is found.
func TestCasesAheadOfARestoredLedger(t *testing.T) {
	dir, port := t.TempDir(), processtest.FreePort(t)
	start := func(dir string) *natsserver.Server {
		s, err := natsserver.Start(natsserver.Options{StoreDir: dir, Port: port})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start(dir)
	js := connect(t, s.URL())
	ensure(t, js, ledger.StreamConfig{})
	w := &parkedWorld{t: t, js: js, l: ledger.NewJetStream(js, ledger.Options{}), after: map[string]uint64{}}
	w.add("T1", capture.Attempted, capture.Parked)
	s.Shutdown()
	backup := t.TempDir()
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s = start(dir)
	w.add("T2", capture.Attempted, capture.Parked)
	if found, err := ledger.EnsureCases(t.Context(), js, ledger.StreamConfig{}); err != nil || len(found) > 0 {
		t.Fatal(found, err)
	}
	w.copied()
	s.Shutdown()
	if err := os.RemoveAll(dir + "/jetstream/$G/streams/CAPTURES"); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir+"/jetstream/$G/streams/CAPTURES", os.DirFS(backup+"/jetstream/$G/streams/CAPTURES")); err != nil {
		t.Fatal(err)
	}
	s = start(dir)
	defer s.Shutdown()
	_, found, err := ledger.InspectCases(t.Context(), js, ledger.StreamConfig{})
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Fix, "nats stream rm") {
		t.Fatalf("findings %v, %v", found, err)
	}
	// Removed and created again, it is as the ledger.
	if err := js.DeleteStream(t.Context(), ledger.DefaultCases); err != nil {
		t.Fatal(err)
	}
	if found, err := ledger.EnsureCases(t.Context(), js, ledger.StreamConfig{}); err != nil || len(found) > 0 {
		t.Fatal(found, err)
	}
	w.cases = 1
	w.copied()
	if trades, _ := parkedTrades(t, w.l.Cases(""), 0); !slices.Equal(trades, []string{"T1"}) {
		t.Errorf("parked: %v", trades)
	}
}

// The server continues with a search whose client gave up. One that was not answered
// is not asked for again; other reads are.
func TestASearchWithoutAReplyIsNotRepeated(t *testing.T) {
	js := connect(t, server(t).URL())
	ensure(t, js, ledger.StreamConfig{})
	if _, err := ledger.EnsureCases(t.Context(), js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	w := &parkedWorld{t: t, js: js, l: ledger.NewJetStream(js, ledger.Options{}), after: map[string]uint64{}}
	w.add("T1", capture.Parked)
	w.copied()
	var searches, others atomic.Int32
	nc := js.Conn()
	_, err := nc.Subscribe("SLOW.>", func(m *nats.Msg) {
		call := strings.TrimPrefix(m.Subject, "SLOW.")
		var ask struct {
			NextFor string `json:"next_by_subj"`
		}
		if strings.HasPrefix(call, "DIRECT.GET.") {
			_ = json.Unmarshal(m.Data, &ask) // a request that is none is no search
			if ask.NextFor != "" {
				searches.Add(1)
			} else {
				others.Add(1)
			}
			return // no reply
		}
		if err := nc.PublishRequest("$JS.API."+call, m.Reply, m.Data); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	slow, err := jetstream.NewWithAPIPrefix(connect(t, nc.ConnectedUrl()).Conn(), "SLOW")
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.NewJetStream(slow, ledger.Options{Timeout: 50 * time.Millisecond, Bound: 500 * time.Millisecond})
	if _, _, err := l.Cases("").TradesSince(t.Context(), capture.Parked, 0); err == nil {
		t.Errorf("a search without a reply: %v", err)
	}
	if n := searches.Load(); n != 1 {
		t.Errorf("%d searches, want 1", n)
	}
	if _, err := l.Load(t.Context(), "T1"); err == nil {
		t.Error("a read without a reply succeeded")
	}
	if n := others.Load(); n < 2 {
		t.Errorf("%d reads of a trade, want some", n)
	}
}
