package ledger_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

func TestEnsureStreamConcurrently(t *testing.T) {
	t.Parallel()
	js := connect(t, server(t).URL())
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			// Two versions of a program may start at the same time.
			if _, err := ledger.EnsureStream(t.Context(), js, ledger.StreamConfig{MaxAge: time.Duration(i+1) * 24 * time.Hour}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// suitable returns the configuration of a user's stream that suits the ledger.
func suitable() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "CAPTURES", Subjects: []string{"captures.>"}, AllowDirect: true, DenyDelete: true, DenyPurge: true,
		Compression: jetstream.S2Compression,
	}
}

func TestEnsureStreamFindings(t *testing.T) {
	t.Parallel()
	js := connect(t, server(t).URL())
	// With its last stream the server deletes the directory of the account, in which
	// it creates the next stream at the same time.
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER"}); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		name  string
		set   func(*jetstream.StreamConfig)
		unfit bool
		says  string // "" for no finding
	}{
		{"suitable", func(*jetstream.StreamConfig) {}, false, ""},
		{"other subjects", func(s *jetstream.StreamConfig) { s.Subjects = []string{"captures.*.captured"} }, true, "subjects"},
		{"work queue", func(s *jetstream.StreamConfig) { s.Retention = jetstream.WorkQueuePolicy }, true, "retention"},
		{"per subject", func(s *jetstream.StreamConfig) { s.MaxMsgsPerSubject = 1 }, true, "per subject"},
		{"no direct gets", func(s *jetstream.StreamConfig) { s.AllowDirect = false }, true, "direct"},
		{"drops old events when full", func(s *jetstream.StreamConfig) { s.MaxBytes = 1 << 20 }, true, "oldest"},
		{"refuses when full", func(s *jetstream.StreamConfig) { s.MaxBytes, s.Discard = 1<<20, jetstream.DiscardNew }, false, ""},
		{"no acks", func(s *jetstream.StreamConfig) { s.NoAck = true }, true, "acknowledge"},
		{"in memory", func(s *jetstream.StreamConfig) { s.Storage = jetstream.MemoryStorage }, true, "memory"},
		{"confirms before it writes", func(s *jetstream.StreamConfig) { s.PersistMode = jetstream.AsyncPersistMode }, true, "persist mode"},
		{"small messages", func(s *jetstream.StreamConfig) { s.MaxMsgSize = 4096 }, true, "over 4096 bytes"},
		{"large messages", func(s *jetstream.StreamConfig) { s.MaxMsgSize = 64 << 10 }, false, ""},
		{"counters", func(s *jetstream.StreamConfig) { s.AllowMsgCounter = true }, true, "counters"},
		{"short", func(s *jetstream.StreamConfig) { s.MaxAge = 31 * 24 * time.Hour }, false, "744h0m0s"},
		{"shorter than an authorization", func(s *jetstream.StreamConfig) { s.MaxAge = time.Hour }, true, "1h0m0s"},
		{"allows deletes", func(s *jetstream.StreamConfig) { s.DenyDelete = false }, false, "deny_delete"},
		{"not compressed", func(s *jetstream.StreamConfig) { s.Compression = jetstream.NoCompression }, false, "--compression s2"},
		{"time to live", func(s *jetstream.StreamConfig) { s.AllowMsgTTL = true }, false, "time to live"},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := suitable()
			// The server deletes the files of a stream some time after the stream.
			made.Name = fmt.Sprintf("CAPTURES_%d", i)
			c.set(&made)
			if _, err := js.CreateStream(t.Context(), made); err != nil {
				t.Fatal(err)
			}
			checkFindings(t, js, made.Name, c.unfit, c.says)
			if err := js.DeleteStream(t.Context(), made.Name); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestTooFewReplicas checks that the fix of the finding tells how to add replicas.
func TestTooFewReplicas(t *testing.T) {
	t.Parallel()
	js := connect(t, server(t).URL())
	if _, err := js.CreateStream(t.Context(), suitable()); err != nil {
		t.Fatal(err)
	}
	found, err := ledger.EnsureStream(t.Context(), js, ledger.StreamConfig{Replicas: 3, MaxAge: ledger.Forever})
	if err != nil || len(found) != 1 || found[0].Severity != "warning" || !strings.Contains(found[0].Fix, "nats stream edit CAPTURES --replicas 3") {
		t.Errorf("found %v, %v; want a warning with what to do", found, err)
	}
}

// TestCompressionMayFollow checks that the fix of the finding works on a stream
// with events, which stay readable.
func TestCompressionMayFollow(t *testing.T) {
	t.Parallel()
	js := connect(t, server(t).URL())
	made := suitable()
	made.Compression = jetstream.NoCompression
	if _, err := js.CreateStream(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	l := ledger.NewJetStream(js, ledger.Options{})
	first := ledgertest.Event("T1", capture.Attempted, 1)
	seq, err := l.Append(t.Context(), first, 0)
	if err != nil {
		t.Fatal(err)
	}
	made.Compression = jetstream.S2Compression
	if _, err := js.UpdateStream(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), ledgertest.Event("T1", capture.Captured, 2), seq); err != nil {
		t.Fatal(err)
	}
	found, err := ledger.EnsureStream(t.Context(), js, ledger.StreamConfig{MaxAge: ledger.Forever})
	if err != nil || len(found) > 0 {
		t.Errorf("found %v, %v; want nothing", found, err)
	}
	if loaded, err := l.Load(t.Context(), "T1"); err != nil || len(loaded.Events) != 2 || loaded.Events[0].ID != first.ID {
		t.Errorf("loaded %+v, %v", loaded, err)
	}
}

func checkFindings(t *testing.T, js jetstream.JetStream, name string, unfit bool, says string) {
	t.Helper()
	before, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	found, err := ledger.EnsureStream(t.Context(), js, ledger.StreamConfig{Stream: name})
	if err != nil {
		t.Fatal(err)
	}
	if says == "" {
		if len(found) > 0 {
			t.Errorf("found %v", found)
		}
	} else if len(found) != 1 || (found[0].Severity == "error") != unfit || !strings.Contains(found[0].String(), says) || !strings.Contains(found[0].What, name) || found[0].Fix == "" {
		t.Errorf("found %v, want one (unfit: %v) that contains %q", found, unfit, says)
	}
	after, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := fmt.Sprint(after.CachedInfo().Config), fmt.Sprint(before.CachedInfo().Config); a != b {
		t.Errorf("the stream was changed:\n%s\n%s", b, a)
	}
}

func TestMissingStream(t *testing.T) {
	t.Parallel()
	l := ledger.NewJetStream(connect(t, server(t).URL()), ledger.Options{Bound: 3 * time.Second})
	_, err := l.Append(t.Context(), ledgertest.Event("t", capture.Attempted, 1), 0)
	if err == nil || errors.Is(err, ledger.ErrUncertain) || !strings.Contains(err.Error(), "CAPTURES") {
		t.Errorf("append: %v", err)
	}
	if _, err := l.Load(t.Context(), "t"); err == nil {
		t.Error("Load of a missing stream reported an empty trade")
	}
}

func TestEventsAreCloudEvents(t *testing.T) {
	t.Parallel()
	js := connect(t, server(t).URL())
	ensure(t, js, ledger.StreamConfig{})
	sub, err := js.Conn().SubscribeSync("captures.*.captured")
	if err != nil {
		t.Fatal(err)
	}
	withTrace := ledger.WithHeaders(nats.Header{
		"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		"Nats-Msg-Id": {"mine"}, "CE-Type": {"mine"},
	})
	e := ledgertest.Event("t", capture.Captured, 1)
	if _, err := ledger.NewJetStream(js, ledger.Options{Source: "till"}).Append(t.Context(), e, 0, withTrace); err != nil {
		t.Fatal(err)
	}
	msg, err := sub.NextMsg(processtest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"ce-specversion": "1.0", "ce-id": e.ID, "ce-type": "capture.captured", "ce-source": "till",
		"ce-subject": "t", "ce-time": "2026-11-02T10:00:01.000005Z", "content-type": "application/json",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"Nats-Msg-Id": "", "CE-Type": "",
		"Nats-Expected-Last-Subject-Sequence-Subject": "captures.t.>",
	} {
		if got := strings.Join(msg.Header[name], ","); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got, err := capture.DecodeEvent(msg.Data); err != nil || got.ID != e.ID || msg.Subject != "captures.t.captured" {
		t.Errorf("%s: %+v, %v", msg.Subject, got, err)
	}
}

func TestUndecodableEvent(t *testing.T) {
	t.Parallel()
	js := connect(t, server(t).URL())
	ensure(t, js, ledger.StreamConfig{})
	l := ledger.NewJetStream(js, ledger.Options{})
	ack, err := js.Publish(t.Context(), "captures.t.attempted", []byte("{"))
	if err != nil {
		t.Fatal(err)
	}
	where := fmt.Sprintf("sequence %d", ack.Sequence)
	_, loadErr := l.Load(t.Context(), "t")
	_, _, lastErr := l.Last(t.Context(), "t")
	var watchErr error
	for entry, err := range l.Watch(t.Context(), 1) {
		watchErr = err
		if entry.Seq != ack.Sequence {
			t.Errorf("Watch is at %d", entry.Seq)
		}
		break
	}
	for _, err := range []error{loadErr, lastErr, watchErr} {
		if !errors.Is(err, capture.ErrEvent) || !strings.Contains(err.Error(), where) {
			t.Errorf("got %v, want one that contains %s", err, where)
		}
	}
	if _, err := l.Append(t.Context(), ledgertest.Event("t", capture.Attempted, 1), 0); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("append before an undecodable event: %v", err)
	}
	// Trades also yields events that were appended without the guard.
	if got := walked(t, l); !slices.Equal(got, []string{"t"}) {
		t.Errorf("walked %v", got)
	}
}

func walked(t *testing.T, l ledger.Ledger) []string {
	t.Helper()
	var trades []string
	for trade, err := range l.Trades(t.Context(), ledger.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		trades = append(trades, trade)
	}
	return trades
}

// TestEmptyLedger checks that the first and last sequence of a new stream are 0.
func TestEmptyLedger(t *testing.T) {
	t.Parallel()
	js := connect(t, server(t).URL())
	ensure(t, js, ledger.StreamConfig{})
	for name, l := range map[string]ledger.Ledger{"memory": &ledger.Memory{}, "jetstream": ledger.NewJetStream(js, ledger.Options{})} {
		for walk, trades := range map[string]iter.Seq2[string, error]{
			"all": l.Trades(t.Context(), ledger.Filter{}), "since": l.Trades(t.Context(), ledger.Filter{Since: time.Now().Add(-time.Hour)}),
			"parked": ledger.TradesWith(t.Context(), l, capture.Parked),
		} {
			for trade, err := range trades {
				t.Errorf("%s, %s: yielded %q, %v", name, walk, trade, err)
			}
		}
	}
}

func TestMaxAgeForever(t *testing.T) {
	t.Parallel()
	js := connect(t, server(t).URL())
	ensure(t, js, ledger.StreamConfig{MaxAge: ledger.Forever})
	stream, err := js.Stream(t.Context(), ledger.DefaultStream)
	if err != nil || stream.CachedInfo().Config.MaxAge != 0 {
		t.Fatalf("MaxAge is %s, %v", stream.CachedInfo().Config.MaxAge, err)
	}
	ensure(t, js, ledger.StreamConfig{}) // more than required
	short := stream.CachedInfo().Config
	short.MaxAge = ledger.DefaultMaxAge
	if _, err := js.UpdateStream(t.Context(), short); err != nil {
		t.Fatal(err)
	}
	found, err := ledger.EnsureStream(t.Context(), js, ledger.StreamConfig{MaxAge: ledger.Forever})
	if err != nil || len(found) != 1 || found[0].Severity != "warning" || !strings.Contains(found[0].What, "ledger.max_age") {
		t.Errorf("findings without a MaxAge: %v, %v", found, err)
	}
}

// TestExpiredEvents checks a trade whose first events have expired. Trades yields
// it once, and an append after an expired event is a conflict.
func TestExpiredEvents(t *testing.T) {
	t.Parallel()
	js := connect(t, server(t).URL())
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "CAPTURES", Subjects: []string{"captures.>"}, AllowDirect: true}); err != nil {
		t.Fatal(err)
	}
	l := ledger.NewJetStream(js, ledger.Options{})
	var seqs []uint64
	for n, after := range []uint64{0, 1, 2, 3} {
		seq, err := l.Append(t.Context(), ledgertest.Event("old", capture.Queried, n), after)
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, seq)
	}
	if _, err := l.Append(t.Context(), ledgertest.Event("new", capture.Attempted, 1), 0); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "CAPTURES")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(seqs[2])); err != nil {
		t.Fatal(err)
	}
	if got := walked(t, l); !slices.Equal(got, []string{"old", "new"}) {
		t.Errorf("walked %v", got)
	}
	if got := stored(t, l, "old"); got != "old-queried-2 old-queried-3" {
		t.Errorf("loaded %s", got)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := walked(t, l); len(got) != 0 {
		t.Errorf("walked %v in an empty stream", got)
	}
	if _, err := l.Append(t.Context(), ledgertest.Event("old", capture.Parked, 9), seqs[3]); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("after an expired event: %v", err)
	}
}

func TestInADomain(t *testing.T) {
	t.Parallel()
	s, err := natsd.NewServer(&natsd.Options{Host: "127.0.0.1", Port: -1, JetStream: true, JetStreamDomain: "hub", StoreDir: t.TempDir(), NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(processtest.Patience) {
		t.Fatal("the server did not start")
	}
	nc := connect(t, s.ClientURL()).Conn()
	js, err := jetstream.NewWithDomain(nc, "hub")
	if err != nil {
		t.Fatal(err)
	}
	ensure(t, js, ledger.StreamConfig{})
	l := ledger.NewJetStream(js, ledger.Options{})
	if _, err := l.Append(t.Context(), ledgertest.Event("t", capture.Attempted, 1), 0); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, l, "t"); got != "t-attempted-1" {
		t.Errorf("stored: %s", got)
	}
}

func TestSupportsBatches(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"2.12.0": true, "2.15.2": true, "2.12.0-RC.1": true, "3.0.0": true,
		"2.11.9": false, "2.9.25": false, "1.4.1": false, "": false, "dev": false,
	} {
		if got := ledger.SupportsBatches(version); got != want {
			t.Errorf("version %q: %v, want %v", version, got, want)
		}
	}
}
