package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/worker"
)

const (
	// refusalsUntilUnready appends in a row have to fail before the worker counts as
	// not ready: single ones fail while a stream elects its leader.
	refusalsUntilUnready = 3
	// refusalMemory is for how long a failed append counts if no other is tried, as
	// when other workers have the jobs. Jobs are redelivered within a minute while
	// appends fail.
	refusalMemory = 2 * time.Minute
)

// appendHealth tracks whether the ledger accepts events.
type appendHealth struct {
	log     *slog.Logger
	now     func() time.Time
	explain func(error) error

	mu        sync.Mutex
	failures  int // in a row
	since     time.Time
	last      time.Time
	reason    error
	announced bool
}

// observe records the result of one append. A conflict shows that the ledger works,
// an invalid event is not the ledger's fault, and a canceled append shows nothing.
func (h *appendHealth) observe(ctx context.Context, err error) {
	switch {
	case errors.Is(err, ledger.ErrTradeID), errors.Is(err, capture.ErrEvent), err != nil && ctx.Err() != nil:
		return
	case err == nil, errors.Is(err, ledger.ErrConflict):
		h.worked(ctx)
	default:
		h.failed(ctx, err)
	}
}

func (h *appendHealth) worked(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.announced {
		h.log.InfoContext(ctx, "ledger accepts events again", "failed_for", h.now().Sub(h.since).Round(time.Second))
	}
	h.failures, h.reason, h.announced = 0, nil, false
}

func (h *appendHealth) failed(ctx context.Context, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures == 0 {
		h.since = h.now()
	}
	h.failures++
	h.last, h.reason = h.now(), h.explain(err)
	if h.failures == refusalsUntilUnready {
		h.announced = true
		h.log.ErrorContext(ctx, "ledger accepts no events, worker not ready", "error", h.reason)
	}
}

// ready returns nil unless appends fail, and otherwise an error that wraps
// [worker.ErrNotReady] and says why.
func (h *appendHealth) ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures < refusalsUntilUnready || h.now().Sub(h.last) > refusalMemory {
		return nil
	}
	return fmt.Errorf("%w: the ledger has accepted no event for %s: %w", worker.ErrNotReady, h.now().Sub(h.since).Round(time.Second), h.reason)
}
