package cli

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/gateway"
)

// keyPoll is how often the files of the gateway's keys are read again.
const keyPoll = 2 * time.Second

// keyring holds the gateway's keys and takes up changed ones without a
// restart. It is safe for concurrent use.
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
	return &keyring{c: c, client: client, log: log, every: keyPoll, current: c.SecretKey, previous: c.PreviousSecretKey}
}

// secrets lists the keys that a notification may be signed with: the present
// one, the previous one of the configuration, and the one that a change of the
// file has replaced, since notifications of before are still on their way.
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

// watch reads the files again and again, until ctx ends. It polls: a secret
// that an orchestrator mounts changes by moving links, which file events miss.
func (k *keyring) watch(ctx context.Context) {
	if k.c.SecretKeyFile == "" && k.c.PreviousSecretKeyFile == "" {
		return
	}
	tick := time.NewTicker(k.every)
	defer tick.Stop()
	troubled := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			err := k.reread()
			if err != nil && !troubled {
				k.log.Warn("a key of the gateway cannot be read again; going on with the one at hand", "error", err)
			}
			troubled = err != nil
		}
	}
}

func (k *keyring) reread() error {
	if path := k.c.SecretKeyFile; path != "" {
		fresh, err := config.ReadSecret(path)
		if err != nil {
			return err
		}
		if err := k.take(fresh); err != nil {
			return err
		}
	}
	if path := k.c.PreviousSecretKeyFile; path != "" {
		fresh, err := config.ReadSecret(path)
		if err != nil && !errors.Is(err, config.ErrNoSecret) {
			return err
		}
		k.mu.Lock()
		if fresh == "" && k.previous != "" { // emptied: old keys are of no use any more
			k.retired = ""
		}
		k.previous = fresh
		k.mu.Unlock()
	}
	return nil
}

// take makes a changed key the one that signs.
func (k *keyring) take(fresh gateway.Secret) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if fresh == k.current {
		return nil
	}
	if err := k.client.SetSecret(fresh); err != nil {
		return err
	}
	k.retired, k.current = k.current, fresh
	k.log.Info("took up a changed key of the gateway", "file", k.c.SecretKeyFile)
	return nil
}
