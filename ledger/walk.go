package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	walkPage      = 500
	walkPageBytes = 4 << 20
)

// Trades is Ledger.Trades. It reads the stream once from the first selected
// event to the end, in pages, without a consumer. A trade is yielded at the
// first of its events that lies in the walk: the one that follows an event
// from before the walk, or none. So a trade whose first events have expired is
// still found.
func (l *JetStream) Trades(ctx context.Context, f Filter) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		start, end, err := l.span(ctx, f)
		if err != nil {
			yield("", fmt.Errorf("walking the trades: %w", err))
			return
		}
		for next := start; next <= end; {
			msgs, err := l.walkFrom(ctx, next)
			if err != nil {
				yield("", fmt.Errorf("walking the trades at sequence %d: %w", next, err))
				return
			}
			if len(msgs) == 0 {
				return
			}
			for _, msg := range msgs {
				if msg.Sequence > end {
					return
				}
				if trade, ok := firstIn(msg, start); ok && !yield(trade, nil) {
					return
				}
				next = msg.Sequence + 1
			}
		}
	}
}

// firstIn returns the trade of an event whose predecessor lies before start, or
// is not known: better a trade twice than one that is hidden.
func firstIn(msg *jetstream.RawStreamMsg, start uint64) (string, bool) {
	trade, ours := tradeOf(msg.Subject)
	before, known := predecessor(msg.Header)
	return trade, ours && (!known || before < start)
}

// span returns the sequences of the first and the last event of the walk. Where
// there is none, the first is after the last.
func (l *JetStream) span(ctx context.Context, f Filter) (start, end uint64, err error) {
	state, err := l.state(ctx)
	if err != nil {
		return 0, 0, err
	}
	// A stream that never held a message counts from 0 to 0.
	start, end = max(state.FirstSeq, 1), state.LastSeq
	if f.Since.IsZero() || start > end {
		return start, end, nil
	}
	first, found, err := l.get(ctx, l.leaderGet, getRequest{StartTime: &f.Since, NextFor: ">"})
	if err != nil {
		return 0, 0, err
	}
	if !found {
		return end + 1, end, nil
	}
	return max(start, first.Seq), end, nil
}

func (l *JetStream) state(ctx context.Context) (state jetstream.StreamState, err error) {
	err = l.retry(ctx, func(ctx context.Context) error {
		stream, err := l.js.Stream(ctx, l.o.Stream)
		if err != nil {
			return fmt.Errorf("asking for the state of stream %s: %w", l.o.Stream, err)
		}
		state = stream.CachedInfo().State
		return nil
	})
	return state, err
}

// errLag: the replica that answered does not reach as far as the leader.
var errLag = errors.New("the replicas lag behind the leader")

// walkFrom returns the next messages, none only where the leader has none. An
// empty answer may come from a replica that lags.
func (l *JetStream) walkFrom(ctx context.Context, next uint64) ([]*jetstream.RawStreamMsg, error) {
	var found []*jetstream.RawStreamMsg
	err := l.retry(ctx, func(ctx context.Context) error {
		b, err := l.directGet(ctx, walkPage, []jetstreamext.GetBatchOpt{
			jetstreamext.GetBatchSeq(next), jetstreamext.GetBatchMaxBytes(walkPageBytes),
		})
		if err != nil || len(b.msgs) > 0 {
			found = b.msgs
			return err
		}
		_, there, err := l.leaderGet(ctx, getRequest{Seq: next, NextFor: ">"})
		if err == nil && there {
			return errLag
		}
		return err
	})
	return found, err
}
