package ledger

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
)

// Memory is a Ledger in the memory of the process. It stores events as JSON, as
// JetStream does, so that reading them gives the same result. The zero value is
// an empty ledger. It starts no goroutines.
type Memory struct {
	mu     sync.Mutex
	log    []record            // the record at i has sequence i+1
	trades map[string][]uint64 // sequences per trade
	grown  chan struct{}       // closed at the next append
}

type record struct {
	data   []byte
	header nats.Header // of WithHeaders
	trade  string
	after  uint64
	stored time.Time
}

var _ Ledger = (*Memory)(nil)

// Append implements Ledger. It never returns ErrUncertain.
func (m *Memory) Append(ctx context.Context, e capture.Event, after uint64, opts ...AppendOption) (uint64, error) {
	if err := checkEvent(e); err != nil {
		return 0, err
	}
	data, err := e.Encode()
	if err != nil {
		return 0, notAppended(e.Type, e.TradeID, err)
	}
	if err := ctx.Err(); err != nil {
		return 0, notAppended(e.Type, e.TradeID, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last(e.TradeID) != after {
		return m.storedAfter(e, after)
	}
	if m.trades == nil {
		m.trades = map[string][]uint64{}
	}
	m.log = append(m.log, record{data: data, header: extraHeaders(headerOf(opts)), trade: e.TradeID, after: after, stored: time.Now()})
	seq := uint64(len(m.log))
	m.trades[e.TradeID] = append(m.trades[e.TradeID], seq)
	if m.grown != nil {
		close(m.grown)
		m.grown = nil
	}
	return seq, nil
}

// storedAfter returns the sequence of the trade's next event if that is e,
// appended by an earlier call, and a conflict if it is another event.
func (m *Memory) storedAfter(e capture.Event, after uint64) (uint64, error) {
	conflict := &ConflictError{TradeID: e.TradeID, After: after}
	for _, seq := range m.trades[e.TradeID] {
		if seq <= after {
			continue
		}
		r := m.log[seq-1]
		entry, err := decodeEntry(seq, r.stored, r.data)
		if err == nil && entry.Event.ID == e.ID {
			return seq, nil
		}
		conflict.Found = seq
		break
	}
	return 0, conflict
}

func (m *Memory) last(tradeID string) uint64 {
	seqs := m.trades[tradeID]
	if len(seqs) == 0 {
		return 0
	}
	return seqs[len(seqs)-1]
}

// Load implements Ledger. It never lags.
func (m *Memory) Load(ctx context.Context, tradeID string) (Trade, error) {
	if err := CheckTradeID(tradeID); err != nil {
		return Trade{}, err
	}
	if err := ctx.Err(); err != nil {
		return Trade{}, fmt.Errorf("loading trade %s: %w", tradeID, err)
	}
	t := Trade{ID: tradeID}
	for _, seq := range m.sequences(tradeID) {
		entry, err := m.entry(seq)
		if err != nil {
			return Trade{}, err
		}
		t.Events, t.Seq = append(t.Events, entry.Event), seq
	}
	t.Headers = m.header(t.Seq)
	return t, nil
}

func (m *Memory) header(seq uint64) nats.Header {
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq == 0 {
		return nil
	}
	return maps.Clone(m.log[seq-1].header)
}

func (m *Memory) sequences(tradeID string) []uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	// Appends never change existing elements of the slice.
	return m.trades[tradeID]
}

func (m *Memory) entry(seq uint64) (Entry, error) {
	m.mu.Lock()
	r := m.log[seq-1]
	m.mu.Unlock()
	return decodeEntry(seq, r.stored, r.data)
}

// LoadLatest implements Ledger. It is Load.
func (m *Memory) LoadLatest(ctx context.Context, tradeID string) (Trade, error) {
	return m.Load(ctx, tradeID)
}

// Last implements Ledger.
func (m *Memory) Last(ctx context.Context, tradeID string) (Entry, bool, error) {
	if err := CheckTradeID(tradeID); err != nil {
		return Entry{}, false, err
	}
	if err := ctx.Err(); err != nil {
		return Entry{}, false, fmt.Errorf("reading the last event of trade %s: %w", tradeID, err)
	}
	seqs := m.sequences(tradeID)
	if len(seqs) == 0 {
		return Entry{}, false, nil
	}
	entry, err := m.entry(seqs[len(seqs)-1])
	return entry, err == nil, err
}

// Trades implements Ledger.
func (m *Memory) Trades(ctx context.Context, f Filter) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		m.mu.Lock()
		log := m.log
		m.mu.Unlock()
		start := 0
		for start < len(log) && log[start].stored.Before(f.Since) {
			start++
		}
		for _, r := range log[start:] {
			if err := ctx.Err(); err != nil {
				yield("", fmt.Errorf("walking the trades: %w", err))
				return
			}
			// The previous event is before the walk, so this is the first in it.
			if r.after <= uint64(start) && !yield(r.trade, nil) {
				return
			}
		}
	}
}

// Watch implements Ledger.
func (m *Memory) Watch(ctx context.Context, from uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		next := from
		if next == 0 {
			m.mu.Lock()
			next = uint64(len(m.log)) + 1
			m.mu.Unlock()
		}
		for ctx.Err() == nil {
			if grown := m.waitFor(next); grown != nil {
				select {
				case <-ctx.Done():
				case <-grown:
				}
				continue
			}
			if !yield(m.entry(next)) {
				return
			}
			next++
		}
	}
}

// waitFor returns nil if the sequence is stored, otherwise a channel that is
// closed at the next append.
func (m *Memory) waitFor(seq uint64) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq <= uint64(len(m.log)) {
		return nil
	}
	if m.grown == nil {
		m.grown = make(chan struct{})
	}
	return m.grown
}

// decodeEntry decodes a stored event. With an error the Entry has only its
// sequence and time.
func decodeEntry(seq uint64, stored time.Time, data []byte) (Entry, error) {
	e, err := capture.DecodeEvent(data)
	if err != nil {
		return Entry{Seq: seq, Stored: stored}, fmt.Errorf("decoding sequence %d of the ledger: %w", seq, err)
	}
	return Entry{Event: e, Seq: seq, Stored: stored}, nil
}
