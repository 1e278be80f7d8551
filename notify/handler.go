package notify

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/reconcile"
)

// MaxBody is the largest body that is read. Real ones have some 500 bytes.
const MaxBody = 64 << 10

// Defaults of the Config fields that are zero.
const (
	DefaultConcurrency = 32
	DefaultWorkers     = 4
	DefaultQueue       = 4096
	DefaultPerTrade    = 20
)

// storeBound bounds what one request does with the ledger.
const storeBound = 8 * time.Second

// Limiter limits what goes to the gateway, as the worker's does.
type Limiter interface {
	// Acquire waits for a turn; it fails while the gateway is not to be called.
	Acquire(ctx context.Context) (release func(), err error)
	// Begin waits for a gateway slot and holds it for one call; end gives it back,
	// with the answer.
	Begin(ctx context.Context) (end func(capture.Answer), err error)
}

// Tracer follows the work on notifications. Both methods return the context to
// work under, and must not block.
type Tracer interface {
	// Received: a genuine notification is being kept; done is told how it ended.
	Received(ctx context.Context, tradeID string) (traced context.Context, done func(error))
	// Resolving: a notified trade is being resolved, after its notification was
	// answered.
	Resolving(ctx context.Context, tradeID string) context.Context
}

// untraced is the Tracer where none is set.
type untraced struct{}

func (untraced) Received(ctx context.Context, _ string) (context.Context, func(error)) {
	return ctx, func(error) {}
}

func (untraced) Resolving(ctx context.Context, _ string) context.Context { return ctx }

// Config configures a Handler.
type Config struct {
	// Secrets returns the keys that are believed now: the current one and,
	// while keys are being changed, the previous. It is asked for each request.
	Secrets func() []gateway.Secret
	Clerk   *reconcile.Clerk
	Query   reconcile.Query
	Limiter Limiter
	// Paused reports, if set, whether the intake of jobs is paused for a fault of
	// ours: no refusal ends a trade then.
	Paused  func() bool
	Sources Sources
	Log     *slog.Logger
	// Tracer, where set, follows what genuine notifications lead to.
	Tracer Tracer

	Concurrency int // requests that use the ledger at a time
	Workers     int // trades resolved at a time
	Queue       int // trades that wait to be resolved
	PerTrade    int // notified events kept of one trade
}

// Handler answers notifications. Begin it with New, end it with Close.
type Handler struct {
	cfg      Config
	slots    chan struct{}
	seen     *recent
	resolver *resolver
	stats    Stats
	tellBad  rate.Sometimes // forgeries must not fill the log
}

var _ http.Handler = (*Handler)(nil)

// New returns a handler whose resolving workers run until Close.
func New(cfg Config) *Handler {
	defaults := func(n *int, to int) {
		if *n <= 0 {
			*n = to
		}
	}
	defaults(&cfg.Concurrency, DefaultConcurrency)
	defaults(&cfg.Workers, DefaultWorkers)
	defaults(&cfg.Queue, DefaultQueue)
	defaults(&cfg.PerTrade, DefaultPerTrade)
	if cfg.Tracer == nil {
		cfg.Tracer = untraced{}
	}
	h := &Handler{
		cfg: cfg, slots: make(chan struct{}, cfg.Concurrency), seen: newRecent(cfg.Queue),
		tellBad: rate.Sometimes{First: 1, Interval: 10 * time.Second},
	}
	h.resolver = newResolver(cfg, &h.stats)
	return h
}

// Stats returns the counters. They go on counting.
func (h *Handler) Stats() *Stats { return &h.stats }

// Close lets the queries under way end, until ctx does, and leaves the trades
// that wait to their own schedules. Shut the HTTP server down first. The error
// is that of ctx; nothing runs any more when Close returns.
func (h *Handler) Close(ctx context.Context) error { return h.resolver.close(ctx) }

// ServeHTTP answers one notification: 200 "ok" when it is in the ledger, or
// need not be; anything else makes the gateway send it again. Refusals say
// nothing about why.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.cfg.Sources.Allowed(r) {
		h.stats.Denied.Add(1)
		refuse(w, http.StatusForbidden)
		return
	}
	if r.Method != http.MethodPost {
		h.stats.Malformed.Add(1)
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed)
		return
	}
	body, ok := h.read(w, r)
	if !ok {
		return
	}
	n, err := gateway.ParseNotification(body, h.cfg.Secrets()...)
	switch {
	case errors.Is(err, gateway.ErrSignature):
		h.stats.Forged.Add(1)
		h.bad("a notification has a bad signature: forged, or signed with a key that we do not have", r)
		refuse(w, http.StatusUnauthorized)
	case err != nil:
		h.stats.Malformed.Add(1)
		h.bad(err.Error(), r)
		refuse(w, http.StatusBadRequest)
	default:
		h.take(w, r, n)
	}
}

// bad logs now and then; the counters know how many there were.
func (h *Handler) bad(what string, r *http.Request) {
	h.tellBad.Do(func() {
		h.cfg.Log.WarnContext(r.Context(), "refused a notification", "problem", what, "from", r.RemoteAddr,
			"forged", h.stats.Forged.Load(), "malformed", h.stats.Malformed.Load())
	})
}

func (h *Handler) read(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if r.ContentLength > MaxBody {
		h.stats.TooLarge.Add(1)
		refuse(w, http.StatusRequestEntityTooLarge)
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err == nil {
		return body, true
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		h.stats.TooLarge.Add(1)
		refuse(w, http.StatusRequestEntityTooLarge)
		return nil, false
	}
	h.stats.Broken.Add(1)
	refuse(w, http.StatusRequestTimeout)
	return nil, false
}

// take keeps a verified notification. Only these take one of the places, so
// that forgeries keep no genuine one out.
func (h *Handler) take(w http.ResponseWriter, r *http.Request, n gateway.Notification) {
	if h.seen.has(capture.TradeKey(n.TradeID), digest(n), h.cfg.Clerk.Now()) {
		h.stats.Duplicates.Add(1)
		accept(w)
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		h.stats.Busy.Add(1)
		again(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeBound)
	defer cancel()
	ctx, done := h.cfg.Tracer.Received(ctx, n.TradeID)
	err := h.keep(ctx, n)
	done(err)
	if err != nil {
		h.stats.Trouble.Add(1)
		h.cfg.Log.WarnContext(ctx, "a notification could not be kept; the gateway will send it again", "trade_id", n.TradeID, "error", err)
		again(w)
		return
	}
	accept(w)
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	// The gateway may be gone; it sends again then.
	_, _ = io.WriteString(w, "ok")
}

func again(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "5")
	refuse(w, http.StatusServiceUnavailable)
}

func refuse(w http.ResponseWriter, status int) { http.Error(w, http.StatusText(status), status) }
