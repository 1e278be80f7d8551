//go:build unix

package e2e

import (
	"fmt"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/pgtest"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/internal/records"
)

// TestRecordsKilledUnderLoad is an acceptance test: kill -9 of the records process, of the database and of NATS in
// the middle of a load: afterwards the model equals a fold of the ledger.
func TestRecordsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		killRecords(t, filepath.Join(t.TempDir(), "records.db"), func() {})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		pg := pgtest.Start(t)
		killRecords(t, pg.URL("records"), func() { pg.Kill(); pg.Launch() })
	})
}

func killRecords(t *testing.T, dsn string, killDatabase func()) {
	const kills, wave = 4, 40
	b := startBroker(t)
	s := startSim(t, "--faults", "rough", "--seed", "11", "--latency", "20ms")
	startWorker(t, "w", workerEnv(b, s, "CAPTURE_WORKER_CONCURRENCY=8"))
	orders := mixed(t, "records", kills*wave)
	env := []string{"CAPTURE_NATS_URL=" + b.url, "CAPTURE_RECORDS_DSN=" + dsn, "CAPTURE_RECORDS_LISTEN=127.0.0.1:0"}
	start := func(n int) *processtest.Process {
		p := processtest.Start(t, fmt.Sprintf("records-%d", n), env, workerProgram, "records")
		p.Says(`msg="following the ledger"`, 1, patience)
		return p
	}
	p := start(0)
	for i := range kills {
		before := s.calls()
		place(b, s, orders[i*wave:(i+1)*wave])
		s.waitCalls(10, before)
		switch i % 3 {
		case 0:
			p.Kill()
			p = start(i + 1)
		case 1:
			b.process.Kill()
			b.start()
		case 2:
			killDatabase()
		}
	}
	b.waitDone(2 * patience)
	store := modelReaches(t, b, dsn)
	sameAsTheLedger(t, b, store)
	p.Stop(patience)
}

// modelReaches waits until the records hold all that the ledger does.
func modelReaches(t *testing.T, b *broker, dsn string) *records.Store {
	t.Helper()
	store, err := records.OpenReader(t.Context(), dsn, records.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	var lag records.Lag
	if !processtest.Comes(2*patience, func() bool {
		lag, err = store.Lag(t.Context(), b.js, records.SourceLedger, "CAPTURES")
		return err == nil && lag.Messages == 0 && lag.Applied > 0
	}) {
		t.Fatalf("the records do not reach the ledger's end: %+v, %v", lag, err)
	}
	return store
}

func sameAsTheLedger(t *testing.T, b *broker, store *records.Store) {
	t.Helper()
	trades := 0
	for page := (records.Page{Limit: records.MaxLimit}); ; {
		list, err := store.FindTrades(t.Context(), "", page)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range list.Items {
			trades++
			held, err := b.book.LoadLatest(t.Context(), row.Key)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := store.State(t.Context(), row.Key)
			if err != nil {
				t.Fatal(err)
			}
			if want := capture.Fold(held.Events); !reflect.DeepEqual(got, want) || row.Phase != want.Phase || row.LastSeq != held.Seq {
				t.Errorf("trade %s: the records say %s as of %d, the ledger %s as of %d", row.Key, row.Phase, row.LastSeq, want.Phase, held.Seq)
			}
		}
		if page.Cursor = list.Next; page.Cursor == "" {
			break
		}
	}
	if trades == 0 {
		t.Error("the records hold no trade")
	}
}
