package main

import (
	"bytes"
	"context"
	"log/slog"
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
	deadline := time.Now().Add(15 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
		<-tick.C
	}
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
	cancel()
	watching.Wait()
	for _, key := range []string{"first", "second", "third", "older"} {
		if strings.Contains(logged.String(), key) {
			t.Errorf("the log holds the key %q:\n%s", key, logged.String())
		}
	}
}

// The halt of rule 9 ends by itself when the right key appears in the file; no
// job was failed for it.
func TestHaltEndsWhenTheRightKeyAppears(t *testing.T) {
	t.Parallel()
	o := demoOptions{jobs: 1, faults: "calm", seed: 1, latency: time.Millisecond}
	world, err := newDemoWorld(t.Context(), o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(world.close)
	file := filepath.Join(t.TempDir(), "key")
	writeKey(t, file, "a wrong key")
	c := world.config
	right := string(c.Gateway.SecretKey)
	c.Gateway.SecretKey, c.Gateway.SecretKeyFile, c.Admin.Listen = "a wrong key", file, ""
	orders := drawOrders(20, 1, time.Now())
	for i := range orders {
		orders[i] = demoOrder{trade: orders[i].trade, known: true, jobs: orders[i].jobs[:1]}
		orders[i].jobs[0].Amount = orders[i].trade.Amount
	}
	if err := world.publish(t.Context(), orders); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var logged lockedBuffer
	ended := make(chan error, 1)
	go func() { ended <- runWorker(ctx, c, false, slog.New(slog.NewTextHandler(&logged, nil))) }()
	within(t, "the worker halts", func() bool { return strings.Contains(logged.String(), "stopped taking jobs") })
	if n := world.sim.Stats().Effects; n != 0 {
		t.Errorf("%d captures with a wrong key", n)
	}
	writeKey(t, file, right)
	within(t, "every trade is captured", func() bool {
		for _, order := range orders {
			trade, err := world.plant.ledger.LoadLatest(t.Context(), order.trade.TradeID)
			if err != nil || trade.State().Phase != capture.PhaseCaptured {
				return false
			}
		}
		return true
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Contains(logged.String(), "level=WARN msg=failed") || strings.Contains(logged.String(), "msg=parked") {
		t.Errorf("a job was burnt:\n%s", logged.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
