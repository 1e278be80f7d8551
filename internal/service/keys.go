package service

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/gateway"
)

// filePoll is the interval between two reads of the files of keys and certificates.
const filePoll = 2 * time.Second

// pollFiles reloads files until ctx ends, and reports the first of several errors
// in a row. It polls, because an orchestrator changes a mounted secret by moving
// links, which file events miss.
func pollFiles(ctx context.Context, every time.Duration, reload func() error, failed func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			err := reload()
			if err != nil && !failing {
				failed(err)
			}
			failing = err != nil
		}
	}
}

// keyring holds the gateway's keys and reloads changed ones without a restart.
// It is safe for concurrent use.
type keyring struct {
	c      config.Gateway
	client *gateway.Client
	log    *slog.Logger
	every  time.Duration

	mu       sync.Mutex
	current  gateway.Secret
	previous gateway.Secret // as configured
	retired  gateway.Secret // current before the last change
}

func newKeyring(c config.Gateway, client *gateway.Client, log *slog.Logger) *keyring {
	return &keyring{c: c, client: client, log: log, every: filePoll, current: c.SecretKey, previous: c.PreviousSecretKey}
}

// secrets returns the keys that a notification may be signed with: the current
// one, the configured previous one, and the one that the last change of the file
// replaced, because notifications signed with it may still arrive.
func (k *keyring) secrets() []gateway.Secret {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []gateway.Secret
	for _, s := range []gateway.Secret{k.current, k.previous, k.retired} {
		if s != "" {
			list = append(list, s)
		}
	}
	return list
}

// watch reloads the files until ctx ends.
func (k *keyring) watch(ctx context.Context) {
	if k.c.SecretKeyFile == "" && k.c.PreviousSecretKeyFile == "" {
		return
	}
	pollFiles(ctx, k.every, k.reload, func(err error) {
		k.log.Warn("reloading gateway secret key failed, keeping the current one", "error", err)
	})
}

func (k *keyring) reload() error {
	if path := k.c.SecretKeyFile; path != "" {
		fresh, err := config.ReadSecret(path)
		if err != nil {
			return err
		}
		if err := k.use(fresh); err != nil {
			return err
		}
	}
	if path := k.c.PreviousSecretKeyFile; path != "" {
		fresh, err := config.ReadSecret(path)
		if err != nil && !errors.Is(err, config.ErrNoSecret) {
			return err
		}
		k.mu.Lock()
		if fresh == "" && k.previous != "" { // emptied: accept no old keys any more
			k.retired = ""
		}
		k.previous = fresh
		k.mu.Unlock()
	}
	return nil
}

// use makes a changed key the one that signs.
func (k *keyring) use(fresh gateway.Secret) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if fresh == k.current {
		return nil
	}
	if err := k.client.SetSecret(fresh); err != nil {
		return err
	}
	k.retired, k.current = k.current, fresh
	k.log.Info("reloaded gateway secret key", "file", k.c.SecretKeyFile)
	return nil
}
