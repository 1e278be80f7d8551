package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/capture-worker/capture-worker/capture"
)

const (
	walkPage      = 500
	walkPageBytes = 4 << 20
)

// Trades implements Ledger. It reads the stream once from the first selected
// event to the end, in pages, without a consumer. A trade is yielded at the first
// of its events in that range: the one whose previous event is before the range
// or does not exist. So a trade whose first events have expired is found too.
func (l *JetStream) Trades(ctx context.Context, f Filter) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		start, end, err := l.span(ctx, f)
		if err != nil {
			yield("", fmt.Errorf("listing trades: %w", err))
			return
		}
		for msg, err := range l.messages(ctx, "", start, end) {
			if err != nil {
				yield("", fmt.Errorf("listing trades: %w", err))
				return
			}
			if trade, ok := firstInRange(msg, start); ok && !yield(trade, nil) {
				return
			}
		}
	}
}

// firstInRange returns the trade of an event whose previous event is before
// start. If the previous event is unknown, the trade may be yielded twice, which
// is better than not at all.
func firstInRange(msg *jetstream.RawStreamMsg, start uint64) (string, bool) {
	trade, ok := tradeOf(msg.Subject)
	before, known := predecessor(msg.Header)
	return trade, ok && (!known || before < start)
}

// TradesWith yields the ids of the trades that have an event of the type, each
// once, in the order of the first such event, up to the last event that was
// stored when it began. It reads the whole ledger and remembers the trades that it
// has yielded, so use it for rare types. An error ends it.
func TradesWith(ctx context.Context, l Ledger, t capture.EventType) iter.Seq2[string, error] {
	if js, ok := l.(*JetStream); ok {
		return js.tradesWith(ctx, t)
	}
	return func(yield func(string, error) bool) {
		for id, err := range l.Trades(ctx, Filter{}) {
			var trade Trade
			if err == nil {
				trade, err = l.Load(ctx, id)
			}
			if err != nil {
				yield("", err)
				return
			}
			if slices.ContainsFunc(trade.Events, func(e capture.Event) bool { return e.Type == t }) && !yield(id, nil) {
				return
			}
		}
	}
}

// tradesWith reads pages by sequence: selecting the events on the server would hold
// up appends while it searches.
func (l *JetStream) tradesWith(ctx context.Context, t capture.EventType) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		start, end, err := l.span(ctx, Filter{})
		if err != nil {
			yield("", fmt.Errorf("listing trades with an event %s: %w", t, err))
			return
		}
		seen := map[string]bool{}
		for msg, err := range l.messages(ctx, "", start, end) {
			if err != nil {
				yield("", fmt.Errorf("listing trades with an event %s: %w", t, err))
				return
			}
			trade, ok := tradeOf(msg.Subject)
			if !ok || seen[trade] || msg.Subject != Subject(trade, t) {
				continue
			}
			seen[trade] = true
			if !yield(trade, nil) {
				return
			}
		}
	}
}

// Messages yields what the stream holds from a sequence to another, both
// included, as it is stored and whether it can be decoded or not; upTo 0 means
// the last message that was stored when it began. It reads pages by sequence,
// without a consumer and without a subject. An error ends it.
func (l *JetStream) Messages(ctx context.Context, from, upTo uint64) iter.Seq2[*jetstream.RawStreamMsg, error] {
	return func(yield func(*jetstream.RawStreamMsg, error) bool) {
		start, end, err := l.span(ctx, Filter{})
		if err != nil {
			yield(nil, fmt.Errorf("reading the ledger: %w", err))
			return
		}
		if upTo != 0 {
			end = min(end, upTo)
		}
		for msg, err := range l.messages(ctx, "", max(start, from), end) {
			if err == nil {
				for _, name := range replyHeaders {
					msg.Header.Del(name)
				}
			}
			if !yield(msg, wrap(err, "reading the ledger")) || err != nil {
				return
			}
		}
	}
}

// replyHeaders are added to a stored message by the reply that carries it.
var replyHeaders = []string{
	jetstream.StreamHeader, jetstream.SubjectHeader, jetstream.SequenceHeader, jetstream.TimeStampHeaer,
	"Nats-Num-Pending", "Nats-Last-Sequence", "Nats-UpTo-Sequence",
}

// FirstSince returns the sequence of the first message that was stored at a time
// or later; it is not found if there is none.
func (l *JetStream) FirstSince(ctx context.Context, t time.Time) (seq uint64, found bool, err error) {
	start, end, err := l.span(ctx, Filter{Since: t})
	if err != nil {
		return 0, false, fmt.Errorf("looking for the first event since %s: %w", t.Format(time.RFC3339), err)
	}
	return start, start <= end, nil
}

// span returns the first and the last sequence that the filter selects. If there
// is none, the first is greater than the last.
func (l *JetStream) span(ctx context.Context, f Filter) (start, end uint64, err error) {
	state, err := l.state(ctx)
	if err != nil {
		return 0, 0, err
	}
	// A stream that never held a message has the first and last sequence 0.
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
			return fmt.Errorf("reading the state of stream %s: %w", l.o.Stream, err)
		}
		state = stream.CachedInfo().State
		return nil
	})
	return state, err
}

// messages yields the messages from start to end whose subject matches; an empty
// subject matches all.
func (l *JetStream) messages(ctx context.Context, subject string, start, end uint64) iter.Seq2[*jetstream.RawStreamMsg, error] {
	return func(yield func(*jetstream.RawStreamMsg, error) bool) {
		for next := start; next <= end; {
			msgs, err := l.page(ctx, subject, next)
			if err != nil {
				yield(nil, fmt.Errorf("at sequence %d: %w", next, err))
				return
			}
			if len(msgs) == 0 {
				return
			}
			for _, msg := range msgs {
				if msg.Sequence > end || !yield(msg, nil) {
					return
				}
				next = msg.Sequence + 1
			}
		}
	}
}

// errLag means that the replica that replied is behind the leader.
var errLag = errors.New("a replica is behind the leader")

// page returns the next messages whose subject matches; an empty subject matches
// all. It returns none only if the leader has none: an empty reply may come from
// a replica that lags behind.
func (l *JetStream) page(ctx context.Context, subject string, next uint64) ([]*jetstream.RawStreamMsg, error) {
	opts := []jetstreamext.GetBatchOpt{jetstreamext.GetBatchSeq(next), jetstreamext.GetBatchMaxBytes(walkPageBytes)}
	nextFor, again := ">", transient
	if subject != "" {
		opts, nextFor, again = append(opts, jetstreamext.GetBatchSubject(subject)), subject, transientSearch
	}
	var found []*jetstream.RawStreamMsg
	err := l.retryIf(ctx, again, func(ctx context.Context) error {
		b, err := l.directGet(ctx, walkPage, opts)
		if err != nil || len(b.msgs) > 0 {
			found = b.msgs
			return err
		}
		_, exists, err := l.leaderGet(ctx, getRequest{Seq: next, NextFor: nextFor})
		if err == nil && exists {
			return errLag
		}
		return err
	})
	return found, err
}
