// Package controls has the key-value bucket that all workers of a ledger share: the
// refusals and losses that operators accept, and a sample of the messages that
// workers passed over. It also has the guard that compares the ledger with the
// finished jobs (rule 2).
package controls

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/jobstream"
)

// Bucket is the key-value bucket in which workers and operators share what
// is accepted. Stream is the stream that holds it.
const (
	Bucket = "CAPTURE_CONTROL"
	Stream = "KV_" + Bucket
)

const (
	// controlHistory is how many earlier values of a key can be read: who accepted
	// what, and why.
	controlHistory = 64
	// controlTries limits how often a change is repeated after another client
	// changed the same key.
	controlTries = 10
	// keepAccepted is how long a code stays listed after the end of its acceptance.
	keepAccepted = 30 * 24 * time.Hour
)

// ErrNoLoss is returned if an operator accepts a loss of the ledger that no worker
// has found.
var ErrNoLoss = errors.New("no worker has found the ledger behind its jobs")

// Acceptance records that an operator accepts refusals with a code, or a ledger
// that has lost events.
type Acceptance struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"`
}

// Store is the part of the bucket that belongs to one ledger.
type Store struct {
	kv      jetstream.KeyValue
	codes   string // keys
	loss    string
	passed  string
	archive string
}

// Ensure finds or creates the bucket. It never alters an existing bucket;
// unsuitable settings are returned.
func Ensure(ctx context.Context, js jetstream.JetStream, ledgerStream string, replicas int, log *slog.Logger) (*Store, []finding.Finding, error) {
	kv, err := js.KeyValue(ctx, Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: Bucket, Description: "acceptances by operators of capture-worker",
			History: controlHistory, Storage: jetstream.FileStorage, Replicas: replicas,
		})
		if errors.Is(err, jetstream.ErrBucketExists) {
			kv, err = js.KeyValue(ctx, Bucket)
		} else if err == nil && log != nil {
			log.InfoContext(ctx, "created a stream", "stream", Stream, "subjects", []string{"$KV." + Bucket + ".>"})
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("stream %s: %w", Stream, err)
	}
	problems, err := check(ctx, kv, replicas)
	return newStore(kv, ledgerStream), problems, err
}

// Open finds the bucket. If there is none, the error is
// jetstream.ErrBucketNotFound.
func Open(ctx context.Context, js jetstream.JetStream, ledgerStream string) (*Store, error) {
	kv, err := js.KeyValue(ctx, Bucket)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", Stream, err)
	}
	return newStore(kv, ledgerStream), nil
}

func newStore(kv jetstream.KeyValue, ledgerStream string) *Store {
	return &Store{
		kv: kv, codes: ledgerStream + ".codes", loss: ledgerStream + ".loss", passed: ledgerStream + ".passed_over", archive: ledgerStream + ".archive",
	}
}

func check(ctx context.Context, kv jetstream.KeyValue, replicas int) ([]finding.Finding, error) {
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", Stream, err)
	}
	cfg := status.Config()
	var found []finding.Finding
	if cfg.Storage == jetstream.MemoryStorage || cfg.TTL > 0 {
		found = append(found, finding.Finding{Severity: finding.Warning, What: "stream " + Stream + ": it loses the acceptances of operators and the record that the ledger has lost events",
			Fix: "use file storage and no time to live"})
	}
	return append(found, jobstream.CheckReplicas(jetstream.StreamConfig{Name: Stream, Replicas: cfg.Replicas}, replicas)...), nil
}

// Codes returns the codes whose refusals operators accept, also those whose time
// is over.
func (c *Store) Codes(ctx context.Context) (map[string]Acceptance, error) {
	codes, _, err := read[map[string]Acceptance](ctx, c.kv, c.codes)
	return codes, err
}

// AcceptCode makes all workers accept refusals with a code until a.Until.
func (c *Store) AcceptCode(ctx context.Context, code string, a Acceptance) error {
	return change(ctx, c.kv, c.codes, func(codes *map[string]Acceptance, _ bool) error {
		if *codes == nil {
			*codes = map[string]Acceptance{}
		}
		for old, accepted := range *codes {
			if a.At.Sub(accepted.Until) > keepAccepted {
				delete(*codes, old)
			}
		}
		(*codes)[code] = a
		return nil
	})
}

// Loss returns the loss of events that was found, nil if there is none.
func (c *Store) Loss(ctx context.Context) (*LedgerLoss, error) {
	loss, found, err := read[LedgerLoss](ctx, c.kv, c.loss)
	if err != nil || !found {
		return nil, err
	}
	return &loss, nil
}

// putLoss stores a loss of ledger events for all workers, unless one is stored that no operator has
// accepted.
func (c *Store) putLoss(ctx context.Context, loss LedgerLoss) error {
	return change(ctx, c.kv, c.loss, func(stored *LedgerLoss, found bool) error {
		if !found || stored.Accepted != nil {
			*stored = loss
		}
		return nil
	})
}

// AcceptLoss makes all workers accept the ledger in its current state.
func (c *Store) AcceptLoss(ctx context.Context, a Acceptance, now LedgerMark) error {
	return change(ctx, c.kv, c.loss, func(stored *LedgerLoss, found bool) error {
		if !found || stored.Accepted != nil {
			return ErrNoLoss
		}
		stored.Accepted, stored.Mark = &a, now
		return nil
	})
}

// read reads the JSON value of a key.
func read[T any](ctx context.Context, kv jetstream.KeyValue, key string) (value T, found bool, err error) {
	entry, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return value, false, nil
	}
	if err == nil {
		err = json.Unmarshal(entry.Value(), &value)
	}
	if err != nil {
		return value, false, fmt.Errorf("reading %s of bucket %s: %w", key, Bucket, err)
	}
	return value, true, nil
}

// change applies f to the value of a key; concurrent changes are applied one after
// the other.
func change[T any](ctx context.Context, kv jetstream.KeyValue, key string, f func(value *T, found bool) error) error {
	for range controlTries {
		var value T
		var revision uint64
		entry, err := kv.Get(ctx, key)
		switch {
		case err == nil:
			revision = entry.Revision()
			err = json.Unmarshal(entry.Value(), &value)
		case errors.Is(err, jetstream.ErrKeyNotFound):
			err = nil
		}
		if err != nil {
			return fmt.Errorf("reading %s of bucket %s: %w", key, Bucket, err)
		}
		if err := f(&value, entry != nil); err != nil {
			return err
		}
		body, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("encoding %s of bucket %s: %w", key, Bucket, err)
		}
		if _, err = kv.Update(ctx, key, body, revision); err == nil {
			return nil
		}
		if !conflicted(err) {
			return fmt.Errorf("writing %s of bucket %s: %w", key, Bucket, err)
		}
	}
	return fmt.Errorf("writing %s of bucket %s: changed by others %d times in a row; try again", key, Bucket, controlTries)
}

// conflicted reports whether another client wrote first.
func conflicted(err error) bool {
	const replicated = 10164 // the code of a replicated stream for the same error
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == replicated)
}
