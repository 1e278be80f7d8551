package records

import (
	"context"
	"fmt"
	"iter"
)

// Fill applies messages of a source to a model that holds none of it, in the order
// of their sequences and in batches. It is for a model that answers one question
// and is thrown away; one that is kept has a Follower. began is the place before
// the first message, apply the method of the Writer that applies those of the
// source.
func (w *Writer) Fill(ctx context.Context, began Place, messages iter.Seq2[Message, error], apply func(context.Context, []Message) error) error {
	if err := w.Begin(ctx, began); err != nil {
		return err
	}
	var batch []Message
	for m, err := range messages {
		if err != nil {
			return fmt.Errorf("filling the records in %s: %w", w.s.d.where, err)
		}
		if batch = append(batch, m); len(batch) < eventBatch {
			continue
		}
		if err := apply(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return apply(ctx, batch)
}
