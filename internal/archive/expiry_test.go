package archive_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/archive"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// A ledger under load whose events expire is archived by runs that crash at every
// step: what left the ledger is in the archive, and archive and ledger are one.
func TestNothingExpiresUnarchived(t *testing.T) {
	processtest.Long(t)
	t.Parallel()
	const age = 15 * time.Second
	w := newWorld(t, age)
	target := open(t, t.TempDir(), nil)
	crashes, files := 0, 0
	for start, step := time.Now(), 1; time.Since(start) < 2*age; step++ {
		for range 20 {
			w.capture(t, fmt.Sprintf("T%d", w.n), "1.00", "EUR")
		}
		a := w.archiver(&crashing{Target: target, at: 1 + step%12}, 0)
		a.OpenDay = true
		r, err := a.Run(t.Context())
		if errors.Is(err, errCrash) {
			crashes++
		} else if err != nil {
			t.Fatal(err)
		}
		files += len(r.Days)
		if r.Lost != 0 {
			t.Fatalf("%d events left the ledger before they were archived", r.Lost)
		}
	}
	stream, err := w.js.Stream(t.Context(), ledger.DefaultStream)
	if err != nil {
		t.Fatal(err)
	}
	state := stream.CachedInfo().State
	if state.FirstSeq == 1 || crashes < 10 || files < 5 {
		t.Fatalf("the ledger begins at %d after %d crashes and %d files: nothing was tested", state.FirstSeq, crashes, files)
	}
	next := uint64(1)
	for m, err := range (archive.Whole{Target: target, JS: w.js, Ledger: ledger.DefaultStream}).Messages(t.Context(), time.Time{}) {
		if err != nil || m.Sequence != next {
			t.Fatalf("sequence %d, want %d: %v", m.Sequence, next, err)
		}
		next++
	}
	found, err := archive.Verifier{Target: target, Ledger: ledger.DefaultStream, Against: w.js}.Verify(t.Context())
	if err != nil || len(found.Problems) != 0 || next != state.LastSeq+1 {
		t.Errorf("%+v, %v; read up to %d of %d", found, err, next-1, state.LastSeq)
	}
	t.Logf("%d events, %d files, %d crashes, the ledger begins at %d", state.LastSeq, found.Days, crashes, state.FirstSeq)
}
