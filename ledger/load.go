package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	// maxChain is how many events are followed back one by one. The usual trade
	// has two; a longer one is read in batches, which cost the server a search.
	maxChain = 16
	// tradePage is how many events of a long trade one request asks for.
	tradePage = 256
)

func (l *JetStream) load(ctx context.Context, tradeID string, from getter) (Trade, error) {
	if err := CheckTradeID(tradeID); err != nil {
		return Trade{}, err
	}
	t := Trade{ID: tradeID}
	last, found, err := l.get(ctx, from, getRequest{LastFor: TradeFilter(tradeID)})
	if err == nil && found {
		t, err = l.upTo(ctx, tradeID, last)
	}
	if err != nil {
		return Trade{}, fmt.Errorf("loading trade %s: %w", tradeID, err)
	}
	return t, nil
}

// upTo returns the events of a trade up to a known last one.
func (l *JetStream) upTo(ctx context.Context, tradeID string, last storedMsg) (Trade, error) {
	chain, whole, err := l.chain(ctx, tradeID, last)
	if err != nil {
		return Trade{}, err
	}
	if !whole {
		return l.searchUpTo(ctx, tradeID, last.Seq)
	}
	t := Trade{ID: tradeID, Headers: givenHeaders(last.header)}
	for _, msg := range chain {
		entry, err := msg.entry()
		if err != nil {
			return Trade{}, err
		}
		t.Events, t.Seq = append(t.Events, entry.Event), entry.Seq
	}
	return t, nil
}

// chain follows Capture-After back from the last event. whole is false where
// the trade is long, or where an event was appended without keeping to the
// ledger's form: then the server has to search.
func (l *JetStream) chain(ctx context.Context, tradeID string, last storedMsg) (chain []storedMsg, whole bool, err error) {
	for msg := last; ; {
		chain = append(chain, msg)
		before, ok := predecessor(msg.header)
		if !ok || before >= msg.Seq {
			return nil, false, nil
		}
		if before == 0 {
			break
		}
		if len(chain) == maxChain {
			return nil, false, nil
		}
		previous, found, err := l.bySeq(ctx, before)
		if err != nil {
			return nil, false, err
		}
		if !found {
			break // it has expired, and with it all before it
		}
		if of, ok := tradeOf(previous.Subject); !ok || of != tradeID {
			return nil, false, nil
		}
		msg = previous
	}
	slices.Reverse(chain)
	return chain, true, nil
}

// bySeq reads one event. Only the leader is believed that it is gone.
func (l *JetStream) bySeq(ctx context.Context, seq uint64) (storedMsg, bool, error) {
	msg, found, err := l.get(ctx, l.replicaGet, getRequest{Seq: seq})
	if err != nil || found {
		return msg, found, err
	}
	return l.get(ctx, l.leaderGet, getRequest{Seq: seq})
}

// searchUpTo reads a trade in batches, from a replica that reaches as far as
// the last event.
func (l *JetStream) searchUpTo(ctx context.Context, tradeID string, last uint64) (Trade, error) {
	var t Trade
	err := l.retry(ctx, func(ctx context.Context) (err error) {
		if t, err = l.search(ctx, tradeID); err == nil && t.Seq < last {
			return errLag
		}
		return err
	})
	return t, err
}

func (l *JetStream) search(ctx context.Context, tradeID string) (Trade, error) {
	t := Trade{ID: tradeID}
	for {
		b, err := l.directGet(ctx, tradePage, []jetstreamext.GetBatchOpt{
			jetstreamext.GetBatchSubject(TradeFilter(tradeID)), jetstreamext.GetBatchSeq(t.Seq + 1),
		})
		if err != nil {
			return Trade{}, err
		}
		for _, msg := range b.msgs {
			entry, err := decodeEntry(msg.Sequence, msg.Time, msg.Data)
			if err != nil {
				return Trade{}, err
			}
			t.Events, t.Seq = append(t.Events, entry.Event), entry.Seq
			t.Headers = msg.Header
		}
		if !b.more {
			t.Headers = givenHeaders(t.Headers)
			return t, nil
		}
	}
}
