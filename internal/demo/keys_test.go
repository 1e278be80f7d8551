package demo

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/internal/service"
)

// keyedWorker is a worker in a demo world that reads its key from a file.
type keyedWorker struct {
	t      *testing.T
	world  *world
	orders []order
	file   string
	logged processtest.Output
	ended  chan error
	stop   context.CancelFunc
}

// startKeyed publishes n ordinary orders and starts the worker with a key.
func startKeyed(t *testing.T, n int, latency time.Duration, key string) *keyedWorker {
	t.Helper()
	world, err := newWorld(t.Context(), Options{Jobs: 1, Faults: "calm", Seed: 1, Latency: latency, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(world.close)
	k := &keyedWorker{t: t, world: world, file: filepath.Join(t.TempDir(), "key"), ended: make(chan error, 1)}
	writeKey(t, k.file, key)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range n {
		k.orders = append(k.orders, ordinary(r, 1, i, time.Now()))
	}
	if err := world.publish(t.Context(), k.orders); err != nil {
		t.Fatal(err)
	}
	c := world.config
	c.Gateway.SecretKey, c.Gateway.SecretKeyFile, c.Admin.Listen, c.Worker.Concurrency = gateway.Secret(key), k.file, "", 8
	ctx, cancel := context.WithCancel(t.Context())
	k.stop = cancel
	go func() {
		s, err := service.New(ctx, service.Options{Config: c, Log: slog.New(slog.NewTextHandler(&k.logged, nil))})
		if err == nil {
			defer s.Close()
			err = s.Run(ctx)
		}
		k.ended <- err
	}()
	return k
}

// capturesAll waits until every trade is captured, stops the worker, and makes
// sure that no job was burnt on the way.
func (k *keyedWorker) capturesAll() {
	k.t.Helper()
	within(k.t, "every trade is captured", func() bool { return k.world.sim.Stats().Effects == int64(len(k.orders)) })
	within(k.t, "the ledger says so", func() bool {
		for _, order := range k.orders {
			trade, err := k.world.ledger.LoadLatest(k.t.Context(), order.trade.TradeID)
			if err != nil || trade.State().Phase != capture.PhaseCaptured {
				return false
			}
		}
		return true
	})
	k.stop()
	if err := <-k.ended; err != nil {
		k.t.Error(err)
	}
	if log := k.logged.String(); strings.Contains(log, "msg=failed") || strings.Contains(log, "msg=parked") {
		k.t.Errorf("a job was burnt:\n%s", log)
	}
}

// The halt of rule 9 ends by itself when the right key appears in the file; no
// job was failed for it.
func TestHaltEndsWhenTheRightKeyAppears(t *testing.T) {
	t.Parallel()
	k := startKeyed(t, 20, time.Millisecond, "a wrong key")
	within(t, "the worker halts", func() bool { return strings.Contains(k.logged.String(), "job intake paused, probing") })
	if n := k.world.sim.Stats().Effects; n != 0 {
		t.Errorf("%d captures with a wrong key", n)
	}
	writeKey(t, k.file, string(k.world.config.Gateway.SecretKey))
	k.capturesAll()
}

// The gateway's key is changed under load, and the file only later: the worker
// halts in between, and every job is captured.
func TestKeyRotationUnderLoad(t *testing.T) {
	t.Parallel()
	k := startKeyed(t, 300, 30*time.Millisecond, "demo-secret-key")
	within(t, "work is under way", func() bool { return k.world.sim.Stats().Effects >= 50 })
	if err := k.world.sim.SetSecret("the next key"); err != nil {
		t.Fatal(err)
	}
	within(t, "the worker halts", func() bool { return strings.Contains(k.logged.String(), "job intake paused, probing") })
	writeKey(t, k.file, "the next key")
	k.capturesAll()
	if !strings.Contains(k.logged.String(), "job intake resumed") {
		t.Error("the end of the halt was not told")
	}
}

func writeKey(t *testing.T, path, key string) {
	t.Helper()
	// As an orchestrator does: a new file moved over the old one.
	if err := os.WriteFile(path+".new", []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	processtest.WaitFor(t, processtest.Patience, what, done)
}
