package service

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/worker"
)

// A worker is not ready while appends fail, of whatever kind, and is again with the
// first that does not, or when nothing was tried for long.
func TestReadinessFollowsAppends(t *testing.T) {
	t.Parallel()
	full := errors.New("maximum bytes exceeded")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		err   error
		times int
		after time.Duration
		ready bool
	}{
		"single failures":      {t.Context(), full, 2, 0, true},
		"failures":             {t.Context(), full, 3, time.Minute, false},
		"uncertain":            {t.Context(), ledger.ErrUncertain, 3, 0, false},
		"long ago":             {t.Context(), full, 3, 3 * time.Minute, true},
		"conflicts":            {t.Context(), ledger.ErrConflict, 9, 0, true},
		"faults of the event":  {t.Context(), capture.ErrEvent, 9, 0, true},
		"of the trade":         {t.Context(), ledger.ErrTradeID, 9, 0, true},
		"callers that gave up": {over, full, 9, 0, true},
	} {
		now := time.Now()
		h := &appendHealth{log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }, explain: func(err error) error { return err }}
		for range c.times {
			h.observe(c.ctx, c.err)
		}
		now = now.Add(c.after)
		if err := h.ready(); (err == nil) != c.ready || err != nil && (!errors.Is(err, worker.ErrNotReady) || !errors.Is(err, c.err)) {
			t.Errorf("%s: %v", name, err)
		}
		h.observe(t.Context(), nil)
		if err := h.ready(); err != nil {
			t.Errorf("%s, then an append: %v", name, err)
		}
	}
}
