package ledger

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/capture-worker/capture-worker/capture"
)

// TradesWith walks the trades that have an event of the type, each once, in
// the order of the first such event, up to what was stored when the walk
// began. It is meant for the rare types: it remembers the trades it has
// yielded. A JetStream reads only the events of that type; any other ledger is
// read whole. An error ends the walk.
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

func (l *JetStream) tradesWith(ctx context.Context, t capture.EventType) iter.Seq2[string, error] {
	subject := Subject("*", t)
	return func(yield func(string, error) bool) {
		next, end, err := l.span(ctx, Filter{})
		seen := map[string]bool{}
		for err == nil && next <= end {
			var msgs []*jetstream.RawStreamMsg
			if msgs, err = l.subjectFrom(ctx, subject, next); err != nil || len(msgs) == 0 {
				break
			}
			for _, msg := range msgs {
				trade, ours := tradeOf(msg.Subject)
				if next = msg.Sequence + 1; next > end+1 {
					return
				}
				if !ours || seen[trade] {
					continue
				}
				seen[trade] = true
				if !yield(trade, nil) {
					return
				}
			}
		}
		if err != nil {
			yield("", fmt.Errorf("walking the trades that were %s: %w", t, err))
		}
	}
}

// TradesSince names the trades of the next events of a type after a sequence,
// at most a page of them, and tells up to which sequence there are no others:
// ask again from there. Where nothing is new it says how far the ledger
// reaches, so that a rare type is never looked for twice in the same place.
func (l *JetStream) TradesSince(ctx context.Context, t capture.EventType, after uint64) (trades []string, upTo uint64, err error) {
	start, end, err := l.span(ctx, Filter{})
	if err != nil || after >= end {
		return nil, end, wrap(err, "looking for trades that were "+string(t))
	}
	msgs, err := l.subjectFrom(ctx, Subject("*", t), max(after+1, start))
	if err != nil {
		return nil, after, wrap(err, "looking for trades that were "+string(t))
	}
	if len(msgs) == 0 {
		return nil, end, nil
	}
	for _, msg := range msgs {
		if trade, ours := tradeOf(msg.Subject); ours {
			trades = append(trades, trade)
		}
	}
	return trades, msgs[len(msgs)-1].Sequence, nil
}

// subjectFrom is walkFrom for the messages of one subject.
func (l *JetStream) subjectFrom(ctx context.Context, subject string, next uint64) ([]*jetstream.RawStreamMsg, error) {
	var found []*jetstream.RawStreamMsg
	err := l.retry(ctx, func(ctx context.Context) error {
		b, err := l.directGet(ctx, walkPage, []jetstreamext.GetBatchOpt{
			jetstreamext.GetBatchSeq(next), jetstreamext.GetBatchSubject(subject), jetstreamext.GetBatchMaxBytes(walkPageBytes),
		})
		if err != nil || len(b.msgs) > 0 {
			found = b.msgs
			return err
		}
		_, there, err := l.leaderGet(ctx, getRequest{Seq: next, NextFor: subject})
		if err == nil && there {
			return errLag
		}
		return err
	})
	return found, err
}
