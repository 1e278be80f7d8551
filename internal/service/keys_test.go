package service

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
	within(t, "the new key is loaded, the old one kept for notifications", func() bool {
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
