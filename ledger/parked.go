package ledger

import (
	"cmp"
	"context"
	"errors"

	"github.com/capture-worker/capture-worker/capture"
)

// ParkedTrades counts the parked trades that wait for an operator, over all
// workers. It reads the new parked events from the stream of cases, and from time
// to time checks in the ledger whether the known trades still wait, mostly with
// one short request for each. It is made by Cases.Follow and is not safe for
// concurrent use.
type ParkedTrades struct {
	cases   *Cases
	upTo    uint64          // of the stream of cases: parked events were read up to here
	known   map[string]bool // trades in fresh or waiting
	fresh   []string        // have a parked event and were not checked since
	waiting []string        // were parked at the last check; the oldest check first
}

// Follow returns a ParkedTrades that starts at the first case.
func (c *Cases) Follow() *ParkedTrades {
	return &ParkedTrades{cases: c, known: map[string]bool{}}
}

// Count returns how many trades are known to wait. It grows during the first
// calls of Look, and lags behind by what happened since each trade was checked.
func (p *ParkedTrades) Count() int { return len(p.waiting) }

// maxParked bounds the memory. A greater number of trades is not counted.
const maxParked = 200_000

// lookPages bounds how many pages of parked events one Look reads.
const lookPages = 4

// Look checks at most so many trades: those that were parked since the last call,
// then those whose last check is the oldest. It reports whether there are parked
// events that it has not reached.
//
// A trade whose events cannot be decoded (capture.ErrEvent) counts as waiting,
// because it had a parked event and an operator has to look. The other trades are
// checked, and the first such error is returned at the end.
func (p *ParkedTrades) Look(ctx context.Context, trades int) (more bool, err error) {
	if p.cases == nil {
		return false, errors.New("ParkedTrades has no ledger: create it with Cases.Follow")
	}
	more = true
	for page := 0; page < lookPages && more && len(p.fresh) < trades; page++ {
		found, upTo, err := p.cases.TradesSince(ctx, capture.Parked, p.upTo)
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
		parked, unread := p.cases.ledger.waits(ctx, trade)
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

// waits reports whether a trade is parked and its case is not closed. Mostly the
// last event is enough. After others, such as a notification, the trade is loaded.
func (l *JetStream) waits(ctx context.Context, tradeID string) (bool, error) {
	last, found, err := l.Last(ctx, tradeID)
	if err != nil || !found {
		return false, err
	}
	switch t := last.Event.Type; {
	case t == capture.Parked:
		return true, nil
	case t == capture.Dismissed, left(t):
		return false, nil
	}
	trade, err := l.Load(ctx, tradeID)
	if err != nil {
		return false, err
	}
	state := trade.State()
	return state.Phase == capture.PhaseParked && !state.Dismissed, nil
}
