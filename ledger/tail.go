package ledger

import (
	"context"
	"fmt"

	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Tailer is a Ledger whose newest events can be read. JetStream and Memory are.
type Tailer interface {
	// Tail returns the newest n events of all trades in ledger order, fewer if
	// there are fewer or n is above MaxTail. Events that cannot be read are left
	// out. It may lag behind what others have just appended.
	Tail(ctx context.Context, n int) ([]Entry, error)
}

// MaxTail bounds the events of one Tail.
const MaxTail = 10_000

var (
	_ Tailer = (*JetStream)(nil)
	_ Tailer = (*Memory)(nil)
)

// Tail is Tailer.Tail. It asks for the stream's state and reads pages by
// sequence, which the server finds without searching.
func (l *JetStream) Tail(ctx context.Context, n int) ([]Entry, error) {
	if n = min(n, MaxTail); n <= 0 {
		return nil, nil
	}
	state, err := l.state(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the newest events of the ledger: %w", err)
	}
	next, end := max(state.FirstSeq, 1), state.LastSeq
	if wanted := uint64(n); end > wanted {
		next = max(next, end-wanted+1)
	}
	var entries []Entry
	for next <= end {
		found, err := l.tailFrom(ctx, next, int(end-next)+1)
		if err != nil {
			return nil, fmt.Errorf("reading the newest events of the ledger from sequence %d: %w", next, err)
		}
		if len(found) == 0 {
			return entries, nil
		}
		for _, e := range found {
			if e.Seq > end {
				return entries, nil
			}
			next = e.Seq + 1
			if e.Event.ID != "" {
				entries = append(entries, e)
			}
		}
	}
	return entries, nil
}

// tailFrom reads one page, from any replica. An event that cannot be read has
// its sequence only.
func (l *JetStream) tailFrom(ctx context.Context, next uint64, most int) (found []Entry, err error) {
	err = l.retry(ctx, func(ctx context.Context) error {
		b, err := l.directGet(ctx, min(most, walkPage), []jetstreamext.GetBatchOpt{
			jetstreamext.GetBatchSeq(next), jetstreamext.GetBatchMaxBytes(walkPageBytes),
		})
		if err != nil {
			return err
		}
		found = nil
		for _, m := range b.msgs {
			e, err := decodeEntry(m.Sequence, m.Time, m.Data)
			if err != nil {
				e = Entry{Seq: m.Sequence, Stored: m.Time}
			}
			found = append(found, e)
		}
		return nil
	})
	return found, err
}

// Tail is Tailer.Tail.
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
