package ledger

import (
	"cmp"
	"context"
	"errors"

	"github.com/capture-worker/capture-worker/capture"
)

// ParkedTrades follows which trades are parked and wait for a person, those of
// all workers. It never reads the ledger whole: it asks for new parked events
// alone, and looks from time to time whether the trades it knows still wait,
// mostly with one short request for each. It is not for concurrent use.
type ParkedTrades struct {
	l       *JetStream
	upTo    uint64          // where parked events were looked for last
	known   map[string]bool // in fresh or waiting
	fresh   []string        // have a parked event, and were not looked at since
	waiting []string        // were parked when they were looked at, the longest ago first
}

// FollowParked begins at the ledger's first event; Look goes on from there.
func (l *JetStream) FollowParked() *ParkedTrades {
	return &ParkedTrades{l: l, known: map[string]bool{}}
}

// Count is how many trades are known to wait. After the first looks it still
// grows, and it may be behind by what happened since a trade was looked at.
func (p *ParkedTrades) Count() int { return len(p.waiting) }

// maxParked bounds the memory. Beyond it the number only says "very many".
const maxParked = 200_000

// lookPages bounds how many pages of parked events one look reads.
const lookPages = 4

// Look looks at no more than so many trades: those that were parked since the
// last look, and then those that were not looked at for the longest. It reports
// whether there are parked events that it has not come to.
//
// A trade whose events cannot be read (capture.ErrEvent) does not keep it from
// the others: it counts as one that waits, for it had a parked event and a
// person has to look, and the first such error is returned at the end.
func (p *ParkedTrades) Look(ctx context.Context, trades int) (more bool, err error) {
	more = true
	for page := 0; page < lookPages && more && len(p.fresh) < trades; page++ {
		found, upTo, err := p.l.TradesSince(ctx, capture.Parked, p.upTo)
		if err != nil {
			return true, err
		}
		p.add(found)
		p.upTo, more = upTo, len(found) > 0
	}
	for range min(trades, len(p.known)) {
		queue := &p.waiting
		if len(p.fresh) > 0 {
			queue = &p.fresh
		}
		trade := (*queue)[0]
		parked, unread := p.l.waits(ctx, trade)
		if unread != nil && !errors.Is(unread, capture.ErrEvent) {
			return true, unread
		}
		*queue = (*queue)[1:]
		if parked || unread != nil {
			p.waiting = append(p.waiting, trade)
		} else {
			delete(p.known, trade)
		}
		err = cmp.Or(err, unread)
	}
	return more || len(p.fresh) > 0, err
}

func (p *ParkedTrades) add(found []string) {
	for _, trade := range found {
		if !p.known[trade] && len(p.known) < maxParked {
			p.known[trade] = true
			p.fresh = append(p.fresh, trade)
		}
	}
}

// waits reports whether a trade is parked and nobody has closed the case. The
// last event mostly tells; what follows a parked one and ends nothing, as a
// notification, does not.
func (l *JetStream) waits(ctx context.Context, tradeID string) (bool, error) {
	last, found, err := l.Last(ctx, tradeID)
	if err != nil || !found {
		return false, err
	}
	switch last.Event.Type {
	case capture.Parked:
		return true, nil
	case capture.Captured, capture.Failed, capture.Released, capture.Dismissed:
		return false, nil
	}
	trade, err := l.Load(ctx, tradeID)
	if err != nil {
		return false, err
	}
	state := trade.State()
	return state.Phase == capture.PhaseParked && !state.Dismissed, nil
}
