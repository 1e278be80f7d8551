package cli

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

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

func TestKeyringFollowsItsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, previous := filepath.Join(dir, "key"), filepath.Join(dir, "previous")
	writeKey(t, file, "first")
	writeKey(t, previous, "older\n")
	client, err := gateway.New(gateway.Config{URL: "http://127.0.0.1:1/Payments", User: "u", SecretKey: "first"})
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	k := newKeyring(config.Gateway{SecretKey: "first", SecretKeyFile: file, PreviousSecretKey: "older", PreviousSecretKeyFile: previous},
		client, slog.New(slog.NewTextHandler(&logged, nil)))
	k.every = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { k.watch(ctx) })
	writeKey(t, file, "second\n")
	within(t, "the new key is taken up, the old one kept for notifications", func() bool {
		return slices.Equal(k.secrets(), []gateway.Secret{"second", "older", "first"})
	})
	writeKey(t, file, "") // an accident
	writeKey(t, previous, "second-before")
	writeKey(t, file, "third")
	within(t, "both files were read again", func() bool {
		return slices.Equal(k.secrets(), []gateway.Secret{"third", "second-before", "second"})
	})
	writeKey(t, previous, "") // keys of before are of no use any more
	within(t, "only the present key is left", func() bool { return slices.Equal(k.secrets(), []gateway.Secret{"third"}) })
	cancel()
	watching.Wait()
	for _, key := range []string{"first", "second", "third", "older"} {
		if strings.Contains(logged.String(), key) {
			t.Errorf("the log holds the key %q:\n%s", key, logged.String())
		}
	}
}

// keyedWorker is a worker of a demo's world that reads its key from a file.
type keyedWorker struct {
	t      *testing.T
	world  *demoWorld
	orders []demoOrder
	file   string
	logged processtest.Output
	ended  chan error
	stop   context.CancelFunc
}

// startKeyed publishes n ordinary orders and starts the worker with a key.
func startKeyed(t *testing.T, n int, latency time.Duration, key string) *keyedWorker {
	t.Helper()
	world, err := newDemoWorld(t.Context(), demoOptions{jobs: 1, faults: "calm", seed: 1, latency: latency}, slog.New(slog.DiscardHandler))
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
	go func() { k.ended <- runWorker(ctx, c, false, slog.New(slog.NewTextHandler(&k.logged, nil))) }()
	return k
}

// capturesAll waits until every trade is captured, stops the worker, and makes
// sure that no job was burnt on the way.
func (k *keyedWorker) capturesAll() {
	k.t.Helper()
	within(k.t, "every trade is captured", func() bool { return k.world.sim.Stats().Effects == int64(len(k.orders)) })
	within(k.t, "the ledger says so", func() bool {
		for _, order := range k.orders {
			trade, err := k.world.plant.ledger.LoadLatest(k.t.Context(), order.trade.TradeID)
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
