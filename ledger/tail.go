package ledger

import (
	"context"
	"fmt"
)

// Tailer is a Ledger whose newest events can be read. JetStream and Memory are.
type Tailer interface {
	// Tail returns the newest n events of all trades in ledger order, fewer if
	// there are fewer or n is above MaxTail. Events that cannot be decoded are
	// left out. It may lag behind the latest appends.
	Tail(ctx context.Context, n int) ([]Entry, error)
}

// MaxTail bounds the events of one Tail.
const MaxTail = 10_000

var (
	_ Tailer = (*JetStream)(nil)
	_ Tailer = (*Memory)(nil)
)

// Tail implements Tailer. It reads pages by sequence, which the server finds
// without a search.
func (l *JetStream) Tail(ctx context.Context, n int) ([]Entry, error) {
	if n = min(n, MaxTail); n <= 0 {
		return nil, nil
	}
	start, end, err := l.span(ctx, Filter{})
	if err != nil {
		return nil, fmt.Errorf("reading the newest events of the ledger: %w", err)
	}
	if wanted := uint64(n); end > wanted {
		start = max(start, end-wanted+1)
	}
	var entries []Entry
	for m, err := range l.messages(ctx, "", start, end) {
		if err != nil {
			return nil, fmt.Errorf("reading the newest events of the ledger: %w", err)
		}
		if e, err := decodeEntry(m.Sequence, m.Time, m.Data); err == nil {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// Tail implements Tailer.
func (m *Memory) Tail(ctx context.Context, n int) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("reading the newest events of the ledger: %w", err)
	}
	m.mu.Lock()
	last := len(m.log)
	m.mu.Unlock()
	var entries []Entry
	for i := max(0, last-max(min(n, MaxTail), 0)); i < last; i++ {
		if e, err := m.entry(uint64(i) + 1); err == nil {
			entries = append(entries, e)
		}
	}
	return entries, nil
}
