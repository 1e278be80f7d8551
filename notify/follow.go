package notify

import (
	"context"
	"errors"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// Source returns the trades with an event of the type after a sequence, and the
// sequence up to which it has read; no trades mean that there is no such event up to
// upTo. ledger.Cases.TradesSince is one.
type Source func(ctx context.Context, t capture.EventType, after uint64) (trades []string, upTo uint64, err error)

const (
	// FollowInterval is the interval at which Follow reads the ledger.
	FollowInterval = 10 * time.Second
	// followTrades limits the trades read per interval, followPages the pages of
	// notified events.
	followTrades, followPages = 100, 4
	// maxFollowed limits the memory. Further trades are found after a restart.
	maxFollowed = 100_000
)

// follower finds the failed trades that a notification reported as paid. It reads
// them from the ledger: their jobs are acked, so no worker returns to them, and the
// resolver's queue is lost at a restart.
type follower struct {
	h       *Handler
	source  Source
	upTo    uint64
	unread  []string        // notified, to be read
	pending map[string]bool // to be asked about
}

// Follow asks Order Query about every failed trade that a verified notification
// reported as paid, until the gateway shows it as paid or the trade is parked (rule
// 11). It includes notifications that other processes recorded. It runs until ctx
// ends.
func (h *Handler) Follow(ctx context.Context, source Source) {
	f := follower{h: h, source: source, pending: map[string]bool{}}
	tick := time.NewTicker(FollowInterval)
	defer tick.Stop()
	for {
		f.poll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// poll reads the new notifications. If the ledger fails, the next poll continues.
func (f *follower) poll(ctx context.Context) {
	for page := 0; page < followPages && len(f.unread) < followTrades; page++ {
		found, upTo, err := f.source(ctx, capture.Notified, f.upTo)
		if err != nil {
			break
		}
		f.upTo = upTo
		if len(found) == 0 {
			break
		}
		f.unread = append(f.unread, found...)
	}
	for range min(followTrades, len(f.unread)) {
		if !f.read(ctx, f.unread[0]) {
			return
		}
		f.unread = f.unread[1:]
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

// read queues a trade for resolving if it is to be pursued. It returns false if the
// ledger could not be read; an unreadable event of one trade does not count as that.
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

// pursued reports whether the trade has failed and a notification newer than its last
// intent reports it as paid.
func pursued(s capture.State) bool {
	return s.Phase == capture.PhaseFailed && !s.NotifiedPaid.IsZero()
}
