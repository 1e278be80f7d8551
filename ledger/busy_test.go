package ledger_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// burn keeps as many processors busy as the machine has, until the test ends.
func burn(t *testing.T) {
	t.Helper()
	program, err := processtest.Build("github.com/capture-worker/capture-worker/internal/load")
	if err != nil {
		t.Fatal(err)
	}
	processtest.Start(t, "load", nil, program, "-cpus", fmt.Sprint(runtime.NumCPU()), "-for", "10m")
}

// choices counts the lines that say how appends are sent, and keeps them in the
// output of the test.
type choices struct {
	slog.Handler
	batches, singly atomic.Int64
}

func newChoices(t *testing.T) *choices {
	return &choices{Handler: slog.NewTextHandler(t.Output(), nil)}
}

func (c *choices) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		switch {
		case a.Key == "sent" && a.Value.String() == "in atomic batches":
			c.batches.Add(1)
		case a.Key == "sent":
			c.singly.Add(1)
		}
		return true
	})
	return c.Handler.Handle(ctx, r)
}

// TestBatchesOnABusyMachine checks that a busy processor is not taken for a slow
// disk, and a slow disk is found on a busy machine.
func TestBatchesOnABusyMachine(t *testing.T) {
	processtest.Long(t)
	open := func(t *testing.T, syncs bool) (*ledger.JetStream, *choices) {
		t.Helper()
		s, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir(), SyncAlways: syncs})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Shutdown)
		js := connect(t, s.URL())
		ensure(t, js, ledger.StreamConfig{})
		said := newChoices(t)
		return ledger.NewJetStream(js, ledger.Options{Log: slog.New(said)}), said
	}
	const busyFor = 20 * time.Second
	t.Run("default sync", func(t *testing.T) {
		burn(t)
		l, said := open(t, false)
		end := time.Now().Add(busyFor)
		write(t, l, 256, func() bool { return time.Now().After(end) })
		if ledger.Batching(l) || said.batches.Load() > 0 {
			t.Errorf("batches began %d times on a server that does not sync", said.batches.Load())
		}
	})
	t.Run("every message synced", func(t *testing.T) {
		burn(t)
		l, said := open(t, true)
		began := time.Now()
		write(t, l, 256, func() bool { return said.batches.Load() > 0 })
		t.Logf("batches after %s", time.Since(began))
		end := time.Now().Add(busyFor)
		in, looks := 0, 0
		write(t, l, 256, func() bool {
			looks++
			if ledger.Batching(l) {
				in++
			}
			return time.Now().After(end)
		})
		// A disk that stalls for seconds ends them for a while.
		if in < looks/2 {
			t.Errorf("batches at %d of %d looks on a server that syncs: began %d times, ended %d times", in, looks, said.batches.Load(), said.singly.Load())
		}
	})
}

// TestConfiguredBatches checks that the configured mode is used without a
// measurement, as far as the stream permits it.
func TestConfiguredBatches(t *testing.T) {
	t.Parallel()
	t.Run("on", func(t *testing.T) {
		t.Parallel()
		s := &fakeStream{one: 10 * time.Microsecond, commit: time.Millisecond, allows: true}
		l := s.openWith(t, ledger.Options{Batches: ledger.BatchesOn})
		write(t, l, 64, func() bool { return s.batches.Load() > 20 })
		if s.asked.Load() != 1 {
			t.Errorf("asked %d times whether the stream allows batches", s.asked.Load())
		}
	})
	t.Run("on, and the stream allows none", func(t *testing.T) {
		t.Parallel()
		s := &fakeStream{one: 10 * time.Microsecond}
		said := newChoices(t)
		l := s.openWith(t, ledger.Options{Batches: ledger.BatchesOn, Log: slog.New(said)})
		write(t, l, 64, func() bool { return said.singly.Load() > 0 })
		write(t, l, 64, forAWhile())
		if s.asked.Load() != 1 || s.batches.Load() > 0 || said.singly.Load() != 1 {
			t.Errorf("asked %d times, %d batches, logged %d times", s.asked.Load(), s.batches.Load(), said.singly.Load())
		}
	})
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		s := &fakeStream{one: time.Millisecond, commit: time.Millisecond, allows: true}
		l := s.openWith(t, ledger.Options{Batches: ledger.BatchesOff})
		write(t, l, 64, forAWhile())
		if s.asked.Load() > 0 || s.batches.Load() > 0 {
			t.Errorf("asked %d times, %d batches", s.asked.Load(), s.batches.Load())
		}
	})
}
