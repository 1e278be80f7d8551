//go:build unix

package records

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/pgtest"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

const fillBound = time.Minute

// broker is a server with the two streams.
type broker struct {
	dir    string
	port   int
	server *natsserver.Server
	js     jetstream.JetStream
	ledger *ledger.JetStream
	seqs   map[string]uint64 // the last of each trade
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{dir: t.TempDir(), port: processtest.FreePort(t), seqs: map[string]uint64{}}
	b.start(t)
	t.Cleanup(func() { b.server.Shutdown() })
	nc, err := nats.Connect(b.server.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if b.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	b.makeStreams(t)
	b.ledger = ledger.NewJetStream(b.js, ledger.Options{})
	t.Cleanup(func() {
		if err := b.ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *broker) start(t *testing.T) {
	t.Helper()
	var err error
	if b.server, err = natsserver.Start(natsserver.Options{StoreDir: b.dir, Port: b.port, Name: "records"}); err != nil {
		t.Fatal(err)
	}
}

func (b *broker) makeStreams(t *testing.T) {
	t.Helper()
	if _, err := ledger.EnsureStream(t.Context(), b.js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []jetstream.StreamConfig{
		{Name: "CAPTURE_DLQ", Subjects: []string{"capture.dlq.>"}}, {Name: acts.Stream, Subjects: []string{acts.SubjectPrefix + "*"}, AllowDirect: true},
	} {
		if _, err := b.js.CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

// act records an act as the commands do.
func (b *broker) act(t *testing.T, a acts.Act, about string) {
	t.Helper()
	if err := (acts.Recorder{JS: b.js, Stream: acts.Stream, Ledger: about}).Record(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

// append writes events as the workers do.
func (b *broker) append(t *testing.T, events []capture.Event) {
	t.Helper()
	for _, e := range events {
		seq, err := b.ledger.Append(t.Context(), e, b.seqs[e.TradeID])
		if err != nil {
			t.Fatal(err)
		}
		b.seqs[e.TradeID] = seq
	}
}

func (b *broker) deadLetter(t *testing.T, subject, body string) {
	t.Helper()
	if _, err := b.js.Publish(t.Context(), subject, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// entries are the ledger's messages, read one by one.
func (b *broker) entries(t *testing.T) []Entry {
	t.Helper()
	stream, err := b.js.Stream(t.Context(), "CAPTURES")
	if err != nil {
		t.Fatal(err)
	}
	var entries []Entry
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		trade, typ := subjectOf(m.Subject)
		entries = append(entries, Entry{Seq: m.Sequence, Stored: m.Time, Trade: trade, Type: typ, After: ledger.After(m.Header), Raw: m.Data})
	}
	return entries
}

// holds fails unless the model is what the ledger adds up to, event by event.
func (b *broker) holds(t *testing.T, s *Store) {
	t.Helper()
	entries := b.entries(t)
	sameDump(t, ledgerDump(t, s), ledgerDump(t, referenceStore(t, entries)))
	sameFold(t, s, decoded(t, entries))
}

// ledgerDump leaves out where the sources stand and the dead letters.
func ledgerDump(t *testing.T, s *Store) string {
	t.Helper()
	return dumpTables(t, s, "events", "trades", "orders")
}

func (b *broker) follower(t *testing.T, s *Store) *Follower {
	t.Helper()
	decoder, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	return NewFollower(Config{JS: b.js, Store: s, Ledger: "CAPTURES", DLQ: "CAPTURE_DLQ", Consumer: "capture-records", Decoder: decoder, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
}

// running is a follower under way.
type running struct {
	f    *Follower
	stop context.CancelFunc
	done chan error
}

func (b *broker) follow(t *testing.T, s *Store) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{f: b.follower(t, s), stop: stop, done: make(chan error, 1)}
	go func() { r.done <- r.f.Run(ctx) }()
	t.Cleanup(stop)
	return r
}

// ends stops the follower and waits for it.
func (r *running) ends(t *testing.T) {
	t.Helper()
	r.stop()
	if err := r.fails(t); err != nil {
		t.Errorf("a follower that was stopped: %v", err)
	}
}

func (r *running) fails(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(fillBound):
		t.Fatal("the follower does not end")
		return nil
	}
}

// reaches waits until the model holds the ledger up to a sequence.
func reaches(t *testing.T, s *Store, source Source, seq uint64) {
	t.Helper()
	var p Place
	var err error
	if !processtest.Comes(fillBound, func() bool {
		p, err = s.Place(t.Context(), source)
		return err == nil && p.Applied >= seq
	}) {
		t.Fatalf("the records do not reach sequence %d: %+v, %v", seq, p, err)
	}
}

func followsTheStreams(t *testing.T, fresh database) {
	b := newBroker(t)
	events := randomEvents(2, 40, 250)
	b.append(t, events[:150])
	b.deadLetter(t, "capture.dlq.not_json", "x")
	s := openStore(t, fresh(t))
	r := b.follow(t, s)
	b.append(t, events[150:])
	b.deadLetter(t, deadletter.DismissedSubject+"1", `{"letter":1,"by":"ann","note":"a test"}`)
	reaches(t, s, SourceLedger, 250)
	reaches(t, s, SourceDeadLetters, 2)
	b.act(t, acts.Act{Act: acts.Pause, By: "bob", Reason: "maintenance", About: "lane batch"}, "CAPTURES")
	b.act(t, acts.Act{Act: acts.Pause, By: "eve", Reason: "elsewhere", About: "lane batch"}, "OTHER")
	if _, err := b.js.Publish(t.Context(), acts.SubjectPrefix+"pause", []byte("no act")); err != nil {
		t.Fatal(err)
	}
	b.act(t, acts.Act{Act: "newer_act", By: "bob", TradeID: "T1", Failed: "no effect"}, "CAPTURES")
	reaches(t, s, SourceActs, 4)
	b.holds(t, s)
	done, err := s.Acts(t.Context(), ActQuery{Actor: "bob"}, Page{})
	if n := len(done.Items); err != nil || n < 2 || done.Items[n-1].About != "lane batch" || done.Items[n-1].Note != "maintenance" || done.Items[0].Failed != "no effect" || done.Items[0].Trade != "T1" {
		t.Errorf("%+v, %v", done, err)
	}
	if other, err := s.Acts(t.Context(), ActQuery{Actor: "eve"}, Page{}); err != nil || len(other.Items) != 0 {
		t.Errorf("an act about another ledger: %+v, %v", other, err)
	}
	lag, err := s.Lag(t.Context(), b.js, SourceLedger, "CAPTURES")
	if err != nil || lag.Messages != 0 || lag.Last != 250 || lag.Behind != 0 {
		t.Errorf("%+v, %v", lag, err)
	}
	if p := r.f.Progress(SourceLedger); p.Applied != 250 || p.Pending != 0 {
		t.Errorf("%+v", p)
	}
	if got, err := s.DeadLetters(t.Context(), LetterQuery{}, Page{}); err != nil || len(got.Items) != 1 || got.Items[0].ResolvedBy != "ann" {
		t.Errorf("%+v, %v", got, err)
	}
	r.ends(t)
	b.append(t, []capture.Event{{ID: "late", Type: capture.Queried, TradeID: "t000", Time: epoch, Worker: "w"}})
	if lag, err := s.Lag(t.Context(), b.js, SourceLedger, "CAPTURES"); err != nil || lag.Messages != 1 || lag.Behind <= 0 {
		t.Errorf("%+v, %v", lag, err)
	}
}

// Stopped at any point and started again, it holds what the ledger adds up to.
func TestStopsAndStartsAnywhere(t *testing.T) {
	processtest.Long(t)
	both(t, func(t *testing.T, fresh database) {
		b := newBroker(t)
		dsn := fresh(t)
		events := randomEvents(3, 50, 3000)
		var writers sync.WaitGroup
		writers.Go(func() { b.append(t, events) })
		r := rand.New(rand.NewPCG(4, 4))
		for next := uint64(1); next < 3000; next += 1 + r.Uint64N(700) {
			s := openStore(t, dsn)
			one := b.follow(t, s)
			reaches(t, s, SourceLedger, next)
			one.ends(t)
		}
		writers.Wait()
		s := openStore(t, dsn)
		last := b.follow(t, s)
		reaches(t, s, SourceLedger, 3000)
		last.ends(t)
		b.holds(t, s)
	})
}

// A server that goes and comes back costs no event.
func TestOutlastsTheBroker(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	b := newBroker(t)
	s := openStore(t, sqlite(t))
	r := b.follow(t, s)
	events := randomEvents(5, 20, 300)
	for part := range 3 {
		b.append(t, events[part*100:part*100+100])
		b.server.Shutdown()
		b.start(t)
	}
	reaches(t, s, SourceLedger, 300)
	r.ends(t)
	b.holds(t, s)
}

// A database that is killed in the middle of the load loses nothing.
func TestOutlastsPostgres(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	pg := pgtest.Start(t)
	b := newBroker(t)
	s := openStore(t, pg.URL("records"))
	r := b.follow(t, s)
	var writers sync.WaitGroup
	writers.Go(func() { b.append(t, randomEvents(6, 50, 3000)) })
	for _, at := range []uint64{200, 1100, 2200} {
		reaches(t, s, SourceLedger, at)
		pg.Kill()
		pg.Launch()
	}
	writers.Wait()
	reaches(t, s, SourceLedger, 3000)
	r.ends(t)
	b.holds(t, s)
}

func rebuildFillsAnewAndEnds(t *testing.T, fresh database) {
	b := newBroker(t)
	b.append(t, randomEvents(7, 20, 200))
	b.deadLetter(t, "capture.dlq.not_json", "x")
	s, _ := filled(t, fresh(t), entriesOf(t, capturedEvents(t, "nonsense", "", "1.00", "EUR", epoch)...))
	decoder, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	f := NewFollower(Config{JS: b.js, Store: s, Ledger: "CAPTURES", DLQ: "CAPTURE_DLQ", Consumer: "capture-records", Decoder: decoder, Filled: true})
	if err := f.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := f.Progress(SourceLedger); p.Applied != 200 || p.Until != 200 {
		t.Errorf("%+v", p)
	}
	b.holds(t, s)
	if err := f.Run(t.Context()); err != nil { // there is nothing to do
		t.Fatal(err)
	}
	if p, err := s.Place(t.Context(), SourceDeadLetters); err != nil || p.Applied != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}

// A ledger that is another one, or that has gone back, is not followed.
func TestARestoredBackupStopsIt(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	b := newBroker(t)
	s := openStore(t, sqlite(t))
	events := randomEvents(8, 20, 100)
	b.append(t, events[:50])
	b.server.Shutdown()
	backup := t.TempDir()
	if err := os.CopyFS(backup, os.DirFS(b.dir)); err != nil {
		t.Fatal(err)
	}
	b.start(t)
	known := map[string]uint64{}
	for trade, seq := range b.seqs {
		known[trade] = seq
	}
	b.append(t, events[50:])
	r := b.follow(t, s)
	reaches(t, s, SourceLedger, 100)
	b.server.Shutdown()
	b.dir, b.seqs = backup, known
	b.start(t)
	expectChange(t, r, ChangedBack)
	if _, err := s.Lag(t.Context(), b.js, SourceLedger, "CAPTURES"); !errors.Is(err, ErrRebuild) {
		t.Errorf("the lag of a ledger that went back: %v", err)
	}
	b.append(t, randomEvents(9, 20, 200)[:80]) // it comes to be longer than it was
	expectChange(t, b.follow(t, s), ChangedMessage)
	if err := b.js.DeleteStream(t.Context(), "CAPTURES"); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.EnsureStream(t.Context(), b.js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	expectChange(t, b.follow(t, s), ChangedStream)
	b.seqs = map[string]uint64{}
	b.append(t, events)
	w := b.follower(t, s)
	w.c.Filled = true
	if err := w.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.holds(t, s)
}

func expectChange(t *testing.T, r *running, want Change) {
	t.Helper()
	err := r.fails(t)
	changed, ok := errors.AsType[*ChangedError](err)
	if !ok || changed.Change != want || changed.Source != SourceLedger || !errors.Is(err, ErrRebuild) {
		t.Fatalf("%v; want the change %s", err, want)
	}
}

// What expired before it was read is a gap in the folds.
func TestEventsThatExpiredUnreadStopIt(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	b := newBroker(t)
	if err := b.js.DeleteStream(t.Context(), "CAPTURES"); err != nil {
		t.Fatal(err)
	}
	stream, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "CAPTURES", Subjects: []string{"captures.*.*"}, AllowDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	events := randomEvents(10, 5, 30)
	b.append(t, events[:20])
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(6)); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, sqlite(t))
	r := b.follow(t, s) // before it began: nothing is missing
	reaches(t, s, SourceLedger, 20)
	r.ends(t)
	if p, err := s.Place(t.Context(), SourceLedger); err != nil || p.First != 6 {
		t.Errorf("%+v, %v", p, err)
	}
	if err := stream.Purge(t.Context()); err != nil { // what was read may go
		t.Fatal(err)
	}
	b.seqs = map[string]uint64{}
	r = b.follow(t, s)
	b.append(t, events[20:])
	reaches(t, s, SourceLedger, 30)
	r.ends(t)
	b.append(t, randomEvents(11, 1, 3))
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectChange(t, b.follow(t, s), ChangedByExpiry)
}

// Of two processes with one consumer, the second says so and leaves the first
// alone; when the first is gone, it takes over.
func TestOneFollowerAtATime(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	b := newBroker(t)
	dsn := sqlite(t)
	s := openStore(t, dsn)
	one := b.follow(t, s)
	b.append(t, randomEvents(12, 5, 10))
	reaches(t, s, SourceLedger, 10)
	for _, other := range []string{dsn, sqlite(t)} {
		if err := b.follow(t, openStore(t, other)).fails(t); !errors.Is(err, ErrFollowed) {
			t.Errorf("a second follower: %v", err)
		}
	}
	b.append(t, []capture.Event{{ID: "more", Type: capture.Queried, TradeID: "t000", Time: epoch, Worker: "w"}})
	reaches(t, s, SourceLedger, 11)
	one.ends(t)
	r := b.follow(t, s)
	b.append(t, []capture.Event{{ID: "last", Type: capture.Queried, TradeID: "t000", Time: epoch, Worker: "w"}})
	reaches(t, s, SourceLedger, 12)
	r.ends(t)
	b.holds(t, s)
}
