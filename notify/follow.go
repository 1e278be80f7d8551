package notify

import (
	"context"
	"errors"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Source finds the trades that have an event of a type behind a sequence, and how
// far it has looked, as ledger.JetStream.TradesSince does. No trades: there is no
// such event up to upTo.
type Source func(ctx context.Context, t capture.EventType, after uint64) (trades []string, upTo uint64, err error)

const (
	// FollowEvery is the pause between looks for notified trades.
	FollowEvery = 10 * time.Second
	// followTrades bounds the trades that are read in one look, followPages the
	// pages of notified events.
	followTrades, followPages = 100, 4
	// maxFollowed bounds the memory. What is beyond it waits for a restart.
	maxFollowed = 100_000
)

// follower finds the failed trades of which a notification says paid. It reads
// them from the ledger: their jobs are done and no worker comes back to them, and
// what a listener has in mind is lost when it stops.
type follower struct {
	h       *Handler
	source  Source
	upTo    uint64
	fresh   []string        // notified, and not read since
	pending map[string]bool // to be asked about
}

// Follow has Order Query asked about every failed trade of which a verified
// notification says paid, whoever has kept the notification and when, until the
// gateway says so too or the trade is parked (rule 11). It runs until ctx ends.
func (h *Handler) Follow(ctx context.Context, source Source) {
	f := follower{h: h, source: source, pending: map[string]bool{}}
	tick := time.NewTicker(FollowEvery)
	defer tick.Stop()
	for {
		f.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look reads what was notified since the last one. If the ledger does not answer,
// the next look goes on.
func (f *follower) look(ctx context.Context) {
	for page := 0; page < followPages && len(f.fresh) < followTrades; page++ {
		found, upTo, err := f.source(ctx, capture.Notified, f.upTo)
		if err != nil {
			break
		}
		f.upTo = upTo
		if len(found) == 0 {
			break
		}
		f.fresh = append(f.fresh, found...)
	}
	for range min(followTrades, len(f.fresh)) {
		if !f.read(ctx, f.fresh[0]) {
			return
		}
		f.fresh = f.fresh[1:]
	}
	read := 0
	for trade := range f.pending {
		if f.h.resolver.has(trade) {
			continue
		}
		if read++; read > followTrades || !f.read(ctx, trade) {
			return
		}
	}
}

// read has a trade resolved if it is one to pursue. It reports false if the
// ledger could not be read; one trade that cannot be read keeps none from the
// others.
func (f *follower) read(ctx context.Context, trade string) bool {
	loaded, err := f.h.cfg.Recorder.Open(ctx, trade)
	if err != nil && !errors.Is(err, capture.ErrEvent) {
		return false
	}
	if err != nil || !pursued(loaded.State) {
		delete(f.pending, trade)
		return true
	}
	if len(f.pending) < maxFollowed {
		f.pending[trade] = true
	}
	f.h.resolver.add(trade)
	return true
}

// pursued: the trade has failed, and a notification newer than its last intent
// says paid.
func pursued(s capture.State) bool {
	return s.Phase == capture.PhaseFailed && !s.NotifiedPaid.IsZero()
}
