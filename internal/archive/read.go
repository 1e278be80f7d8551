package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/ledger"
)

// ErrGap is wrapped if events are missing between the archive and the ledger.
var ErrGap = errors.New("events are missing between the archive and the ledger")

// Whole is an archive and its ledger, read as one.
type Whole struct {
	Target Target // nil: there is no archive
	JS     jetstream.JetStream
	Ledger string // stream
}

// Begins returns the first sequence that the archive holds, 0 if it is empty.
func (w Whole) Begins(ctx context.Context) (uint64, error) {
	names, err := w.manifests(ctx)
	if err != nil || len(names) == 0 {
		return 0, err
	}
	s, err := readManifest(ctx, w.Target, names[0])
	return s.First, err
}

func (w Whole) manifests(ctx context.Context) ([]string, error) {
	if w.Target == nil {
		return nil, nil
	}
	return manifests(ctx, w.Target, w.Ledger)
}

// Messages yields all events since a time (the zero time: all) from the archive,
// and then from the ledger what the archive does not hold. The order is that of
// the ledger. A file that is not as it was written ends it with an error, as do
// events that are in neither (ErrGap).
func (w Whole) Messages(ctx context.Context, since time.Time) iter.Seq2[*jetstream.RawStreamMsg, error] {
	return func(yield func(*jetstream.RawStreamMsg, error) bool) {
		last, ok, err := w.archived(ctx, since, yield)
		if err != nil {
			yield(nil, err)
			return
		}
		if !ok {
			return
		}
		l := ledger.NewJetStream(w.JS, ledger.Options{Stream: w.Ledger})
		defer l.Close()
		from := last + 1
		stream, err := w.JS.Stream(ctx, w.Ledger)
		if err != nil {
			yield(nil, fmt.Errorf("stream %s: %w", w.Ledger, err))
			return
		}
		if first := stream.CachedInfo().State.FirstSeq; last > 0 && first > from {
			yield(nil, fmt.Errorf("%w: the archive ends at sequence %d, the ledger begins at %d", ErrGap, last, first))
			return
		}
		if !since.IsZero() {
			first, found, err := l.FirstSince(ctx, since)
			if err != nil {
				yield(nil, err)
				return
			}
			if !found {
				return
			}
			from = max(from, first)
		}
		for m, err := range l.Messages(ctx, from, 0) {
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// archived yields what the archive holds. ok is false if the caller wants no more.
func (w Whole) archived(ctx context.Context, since time.Time, yield func(*jetstream.RawStreamMsg, error) bool) (last uint64, ok bool, err error) {
	names, err := w.manifests(ctx)
	if err != nil {
		return 0, false, err
	}
	var before sealed
	for _, name := range names {
		s, err := readManifest(ctx, w.Target, name)
		if err != nil {
			return 0, false, err
		}
		if before.name != "" && (s.Previous != before.name || s.Chain != before.hash) {
			return 0, false, fmt.Errorf("manifest %s of the archive: %w: it does not follow %s; see `capture-worker archive verify`", name, errFile, before.name)
		}
		before, last = s, s.Last
		if day, err := time.Parse(time.DateOnly, s.Day); err == nil && day.AddDate(0, 0, 2).Before(since) {
			continue
		}
		for m, err := range readFile(ctx, w.Target, s.Manifest) {
			if err != nil {
				return 0, false, err
			}
			if m.Time.Before(since) {
				continue
			}
			if !yield(m, nil) {
				return 0, false, nil
			}
		}
	}
	return last, true, nil
}
