package records

import (
	"context"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/ledger"
)

// Fill applies messages of a ledger to an empty store, in the order of their
// sequences and in batches. It is for a store that answers one question and is
// thrown away; one that is kept has a Follower. began is the place before the
// first message.
func (s *Store) Fill(ctx context.Context, began Place, messages iter.Seq2[*jetstream.RawStreamMsg, error]) error {
	w, err := s.Writer(ctx)
	if err != nil {
		return err
	}
	began.Source = SourceLedger
	if err := w.Begin(ctx, began); err != nil {
		return err
	}
	var batch []Entry
	for m, err := range messages {
		if err != nil {
			return fmt.Errorf("filling the records in %s: %w", s.d.where, err)
		}
		batch = append(batch, entryOf(m.Sequence, m.Time, m.Subject, ledger.After(m.Header), m.Data))
		if len(batch) < eventBatch {
			continue
		}
		if err := w.ApplyEvents(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return w.ApplyEvents(ctx, batch)
}
