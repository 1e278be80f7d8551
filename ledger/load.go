package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	// maxChain is how many events are read one by one, from the last one back.
	// Most trades have two. Longer ones are read in batches, for which the server
	// has to search, and holds up every append while it does.
	maxChain = 256
	// tradePage is how many events of a long trade one request asks for.
	tradePage = 256
)

// Load implements Ledger. It reads the last event from any replica and follows
// Capture-After back to the first one: one short request per event. Reading by
// subject instead would make the server search its files.
func (l *JetStream) Load(ctx context.Context, tradeID string) (Trade, error) {
	return l.load(ctx, tradeID, l.replicaGet)
}

// LoadLatest implements Ledger. It is Load, with the last event read from the
// leader.
func (l *JetStream) LoadLatest(ctx context.Context, tradeID string) (Trade, error) {
	return l.load(ctx, tradeID, l.leaderGet)
}

// Last implements Ledger, with one request to the leader.
func (l *JetStream) Last(ctx context.Context, tradeID string) (Entry, bool, error) {
	if err := CheckTradeID(tradeID); err != nil {
		return Entry{}, false, err
	}
	last, found, err := l.get(ctx, l.leaderGet, getRequest{LastFor: TradeFilter(tradeID)})
	if err != nil || !found {
		return Entry{}, false, wrap(err, "reading the last event of trade "+tradeID)
	}
	entry, err := last.entry()
	return entry, err == nil, err
}

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

// upTo returns the events of a trade up to its last one.
func (l *JetStream) upTo(ctx context.Context, tradeID string, last storedMsg) (Trade, error) {
	chain, whole, err := l.chain(ctx, tradeID, last)
	if err != nil {
		return Trade{}, err
	}
	if !whole {
		return l.searchUpTo(ctx, tradeID, last.Seq)
	}
	t := Trade{ID: tradeID, Headers: extraHeaders(last.header)}
	for _, msg := range chain {
		entry, err := msg.entry()
		if err != nil {
			return Trade{}, err
		}
		t.Events, t.Seq = append(t.Events, entry.Event), entry.Seq
	}
	return t, nil
}

// chain follows Capture-After back from the last event. whole is false if the
// trade is long, or if an event was not appended by a ledger; the server has to
// search then.
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
			break // it has expired, and so have all before it
		}
		if of, ok := tradeOf(previous.Subject); !ok || of != tradeID {
			return nil, false, nil
		}
		msg = previous
	}
	slices.Reverse(chain)
	return chain, true, nil
}

// bySeq reads one event. Only if the leader does not have it, it is gone.
func (l *JetStream) bySeq(ctx context.Context, seq uint64) (storedMsg, bool, error) {
	msg, found, err := l.get(ctx, l.replicaGet, getRequest{Seq: seq})
	if err != nil || found {
		return msg, found, err
	}
	return l.get(ctx, l.leaderGet, getRequest{Seq: seq})
}

// searchUpTo reads a trade in batches, from a replica that has the last event.
func (l *JetStream) searchUpTo(ctx context.Context, tradeID string, last uint64) (Trade, error) {
	var t Trade
	err := l.retryIf(ctx, transientSearch, func(ctx context.Context) (err error) {
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
			t.Headers = extraHeaders(t.Headers)
			return t, nil
		}
	}
}
