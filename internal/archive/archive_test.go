package archive_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/archive"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/natstest"
	"github.com/capture-worker/capture-worker/ledger"
)

// A closed day is archived, once, and proves itself: in each kind of place.
func TestADayIsArchivedAndVerified(t *testing.T) {
	w := newWorld(t, 0)
	w.capture(t, "T1", "24.99", "EUR")
	w.capture(t, "T2", "500", "JPY")
	if _, err := w.js.Publish(t.Context(), "captures.T3.attempted", []byte("\xff no event")); err != nil {
		t.Fatal(err)
	}
	for kind, place := range places(t, w.js) {
		t.Run(kind, func(t *testing.T) {
			target := open(t, place, w.js)
			if r, err := w.archiver(target, 0).Run(t.Context()); err != nil || len(r.Days) != 0 || r.Mark.Through != 0 {
				t.Fatalf("a day that is not over: %+v, %v", r, err)
			}
			r, err := w.archiver(target, 2).Run(t.Context())
			if err != nil || len(r.Days) != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			m := r.Days[0]
			if m.Events != 5 || m.Trades != 3 || m.Unreadable != 1 || m.First != 1 || m.Last != 5 || m.Captured["EUR"] != "24.99" || m.Captured["JPY"] != "500" ||
				m.Types["captured"] != 2 || m.Lost != 0 || m.Absent != 0 || r.Mark.Through != 5 || r.Mark.Head == "" {
				t.Errorf("%+v, %+v", m, r.Mark)
			}
			again, err := w.archiver(target, 2).Run(t.Context())
			if err != nil || len(again.Days) != 0 || again.Mark.Through != 5 || again.Mark.Head != r.Mark.Head {
				t.Errorf("again: %+v, %v", again, err)
			}
			found, err := archive.Verifier{Target: target, Ledger: ledger.DefaultStream, Head: r.Mark.Head, Against: w.js}.Verify(t.Context())
			if err != nil || len(found.Problems) != 0 || len(found.Unreferenced) != 0 || found.Events != 5 || found.Compared != 5 || found.Head != r.Mark.Head {
				t.Errorf("%+v, %v", found, err)
			}
			if err := target.Create(t.Context(), m.File, strings.NewReader("x"), 1); !errors.Is(err, archive.ErrExists) {
				t.Errorf("an object is written twice: %v", err)
			}
			if _, err := target.Open(t.Context(), "none"); !errors.Is(err, archive.ErrNotFound) {
				t.Errorf("an object that is not there: %v", err)
			}
		})
	}
}

// The chain continues from run to run, and readers get archive and ledger as one.
func TestTheChainGoesOnAndIsReadAsOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	target := open(t, t.TempDir(), nil)
	var heads []string
	for _, trade := range []string{"T1", "T2", "T3"} {
		w.capture(t, trade, "1.00", "EUR")
		r, err := w.archiver(target, 2).Run(t.Context())
		if err != nil || len(r.Days) != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		heads = append(heads, r.Mark.Head)
	}
	w.capture(t, "T4", "1.00", "EUR") // not archived
	v := archive.Verifier{Target: target, Ledger: ledger.DefaultStream, Head: heads[2]}
	if found, err := v.Verify(t.Context()); err != nil || len(found.Problems) != 0 || found.Days != 3 || found.Events != 6 {
		t.Errorf("%+v, %v", found, err)
	}
	next := uint64(1)
	for m, err := range (archive.Whole{Target: target, JS: w.js, Ledger: ledger.DefaultStream}).Messages(t.Context(), time.Time{}) {
		if err != nil || m.Sequence != next {
			t.Fatalf("sequence %d, want %d: %v", m.Sequence, next, err)
		}
		next++
	}
	if next != 9 {
		t.Errorf("archive and ledger end before sequence %d", next)
	}
}

// Another ledger, or one that went back, does not go into the same archive.
func TestAnotherLedgerIsRefused(t *testing.T) {
	t.Parallel()
	target := open(t, t.TempDir(), nil)
	w := newWorld(t, 0)
	w.capture(t, "T1", "1.00", "EUR")
	if _, err := w.archiver(target, 2).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := newWorld(t, 0)
	other.capture(t, "T1", "1.00", "EUR")
	if _, err := other.archiver(target, 2).Run(t.Context()); !errors.Is(err, archive.ErrOtherLedger) {
		t.Errorf("%v", err)
	}
}

// Whatever step a run ends at, the next one continues, and nothing is missing.
func TestACrashAtEveryStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.capture(t, "T1", "1.00", "EUR")
	first := open(t, t.TempDir(), nil)
	if _, err := w.archiver(first, 2).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	crashed := 0
	for at := 1; ; at++ {
		dir := t.TempDir()
		inner := open(t, dir, nil)
		if _, err := w.archiver(&crashing{Target: inner, at: at}, 2).Run(t.Context()); err == nil {
			break
		} else if !errors.Is(err, errCrash) {
			t.Fatalf("step %d: %v", at, err)
		}
		crashed++
		r, err := w.archiver(inner, 2).Run(t.Context())
		if err != nil || r.Mark.Through != w.seqs["T1"] {
			t.Fatalf("after a crash at step %d: %+v, %v", at, r, err)
		}
		found, err := archive.Verifier{Target: inner, Ledger: ledger.DefaultStream, Against: w.js}.Verify(t.Context())
		if err != nil || len(found.Problems) != 0 || found.Events != 2 || found.Compared != 2 {
			t.Errorf("after a crash at step %d: %+v, %v", at, found, err)
		}
	}
	if crashed < 5 {
		t.Errorf("only %d steps", crashed)
	}
}

// changing is a target that stores other bytes than it is given.
type changing struct{ archive.Target }

func (c changing) Create(ctx context.Context, name string, body io.Reader, size int64) error {
	b, err := io.ReadAll(body)
	if err == nil && strings.HasSuffix(name, ".zst") {
		b[len(b)/2] ^= 1
	}
	if err != nil {
		return err
	}
	return c.Target.Create(ctx, name, bytes.NewReader(b), size)
}

// A file that does not come back as the ledger is has no manifest: the day is not
// archived.
func TestAFileThatDiffersFromTheLedgerDoesNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.capture(t, "T1", "1.00", "EUR")
	target := open(t, t.TempDir(), nil)
	if _, err := w.archiver(changing{target}, 2).Run(t.Context()); err == nil {
		t.Fatal("it was archived")
	}
	if names, err := target.List(t.Context(), ""); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
}

// What expired before it was archived is said, and the rest is archived.
func TestEventsThatWereLostAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	w.capture(t, "T1", "1.00", "EUR")
	target := open(t, t.TempDir(), nil)
	if _, err := w.archiver(target, 2).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.capture(t, "T2", "1.00", "EUR")
	w.capture(t, "T3", "1.00", "EUR")
	w.expire(t, 3)
	r, err := w.archiver(target, 2).Run(t.Context())
	if err != nil || r.Lost != 1 || len(r.Days) != 1 || r.Days[0].Lost != 1 || r.Days[0].Events != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	found, err := archive.Verifier{Target: target, Ledger: ledger.DefaultStream}.Verify(t.Context())
	if err != nil || len(found.Problems) != 1 || found.Problems[0].Fault != archive.FaultLost {
		t.Errorf("%+v, %v", found, err)
	}
}

// expire lets the events up to a sequence leave the ledger.
func (w *world) expire(t *testing.T, upTo uint64) {
	t.Helper()
	stream, err := w.js.Stream(t.Context(), ledger.DefaultStream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgs, cfg.Discard = int64(stream.CachedInfo().State.LastSeq-upTo), jetstream.DiscardOld
	if _, err := w.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if stream, err = w.js.Stream(t.Context(), ledger.DefaultStream); err != nil || stream.CachedInfo().State.FirstSeq != upTo+1 {
		t.Fatalf("the ledger begins at %d, %v", stream.CachedInfo().State.FirstSeq, err)
	}
}

// The workers learn how far the archive is, for the alert.
func TestTheWorkersAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.capture(t, "T1", "1.00", "EUR")
	control, _, err := controls.Ensure(t.Context(), w.js, ledger.DefaultStream, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if mark, err := control.Archive(t.Context()); err != nil || mark != nil {
		t.Errorf("without an archive: %+v, %v", mark, err)
	}
	a := w.archiver(open(t, t.TempDir(), nil), 2)
	a.Stored = control.NoteArchive
	r, err := a.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if mark, err := control.Archive(t.Context()); err != nil || mark == nil || mark.Through != 2 || mark.Head != r.Mark.Head || mark.Stored.IsZero() {
		t.Errorf("%+v, %v", mark, err)
	}
}

// A day is put back with its sequences, on a server of its own.
func TestADayIsRestored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.capture(t, "T1", "1.00", "EUR")
	target := open(t, t.TempDir(), nil)
	if _, err := w.archiver(target, 2).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.capture(t, "T2", "2.00", "EUR")
	r, err := w.archiver(target, 2).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	day, other := r.Days[0].Day, natstest.JetStream(t)
	restore := archive.Restore{Target: target, Ledger: ledger.DefaultStream, JS: other, Stream: ledger.StreamConfig{MaxAge: ledger.Forever}.Settings(other)}
	if _, err := restore.Days(t.Context(), "2020-01-01", "2020-01-02"); !errors.Is(err, archive.ErrNoDay) {
		t.Errorf("a day that is not there: %v", err)
	}
	if n, err := restore.Days(t.Context(), day, day); err != nil || n != 4 {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := restore.Days(t.Context(), day, day); !errors.Is(err, archive.ErrNotEmpty) {
		t.Errorf("into a ledger that exists: %v", err)
	}
	back := ledger.NewJetStream(other, ledger.Options{})
	defer back.Close()
	for _, trade := range []string{"T1", "T2"} {
		got, err := back.Load(t.Context(), trade)
		want, wantErr := w.ledger.Load(t.Context(), trade)
		if err != nil || wantErr != nil || got.State().Phase != want.State().Phase || got.Seq != want.Seq || len(got.Events) != 2 {
			t.Errorf("%s: %+v, %v; was %+v, %v", trade, got, err, want, wantErr)
		}
	}
}
