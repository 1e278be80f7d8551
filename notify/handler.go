package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/reconcile"
)

// MaxBody is the size of the largest body that is read, in bytes. Bodies seen from
// the gateway have about 500.
const MaxBody = 64 << 10

// Defaults of the [Config] fields that are zero.
const (
	DefaultConcurrency = 32
	DefaultWorkers     = 4
	DefaultQueue       = 4096
	DefaultPerTrade    = 20
)

// storeTimeout limits the ledger operations of one request.
const storeTimeout = 8 * time.Second

// ErrConfig is wrapped by errors of [New].
var ErrConfig = errors.New("notification handler configuration")

// Limiter limits the calls to the gateway. The worker's one serves both.
type Limiter interface {
	// Acquire waits until a call may be prepared. It fails while the gateway must
	// not be called.
	Acquire(ctx context.Context) (release func(), err error)
	// Do runs one call, holding a gateway slot.
	Do(ctx context.Context, call func(context.Context) capture.Answer) capture.Answer
}

// unlimited is the Limiter if none is set.
type unlimited struct{}

func (unlimited) Acquire(ctx context.Context) (func(), error) { return func() {}, ctx.Err() }

func (unlimited) Do(ctx context.Context, call func(context.Context) capture.Answer) capture.Answer {
	return call(ctx)
}

// Tracer observes the work on notifications. Both methods return the context to
// continue with, and must not block.
type Tracer interface {
	// Received is called before a verified notification is recorded; done is called
	// with the result.
	Received(ctx context.Context, tradeID string) (traced context.Context, done func(error))
	// Resolving is called before Order Query is asked about a notified trade, after
	// its notification was answered.
	Resolving(ctx context.Context, tradeID string) context.Context
}

// untraced is the Tracer if none is set.
type untraced struct{}

func (untraced) Received(ctx context.Context, _ string) (context.Context, func(error)) {
	return ctx, func(error) {}
}

func (untraced) Resolving(ctx context.Context, _ string) context.Context { return ctx }

// Config configures a [Handler]. Secrets, Recorder and Query must be set.
type Config struct {
	// Secrets returns the keys that are accepted now: the current one and, during a
	// key rotation, the previous one. It is called for each request.
	Secrets  func() []gateway.Secret
	Recorder *reconcile.Recorder
	Query    reconcile.Query
	Limiter  Limiter // nil is no limit
	// Paused reports whether the job intake is paused for a fault of ours: no
	// refusal ends a trade then. nil is never.
	Paused func() bool
	// MayFail reports whether a trade may be failed for what the gateway refuses
	// with that code since that time. nil is always.
	MayFail func(ctx context.Context, code string, since time.Time) bool
	Sources Sources      // the zero value accepts every sender
	Log     *slog.Logger // nil disables logging
	Tracer  Tracer       // nil disables tracing

	Concurrency int // requests that use the ledger at a time; 0 is DefaultConcurrency
	Workers     int // trades resolved at a time; 0 is DefaultWorkers
	Queue       int // trades waiting to be resolved; 0 is DefaultQueue
	PerTrade    int // notified events recorded per trade; 0 is DefaultPerTrade
}

func (c *Config) check() error {
	missing := ""
	switch {
	case c.Secrets == nil:
		missing = "Secrets"
	case c.Recorder == nil:
		missing = "Recorder"
	case c.Recorder.Ledger == nil:
		missing = "Recorder.Ledger"
	case c.Query == nil:
		missing = "Query"
	default:
		return nil
	}
	return fmt.Errorf("%w: notify.Config.%s is not set, and there is no default", ErrConfig, missing)
}

func (c *Config) setDefaults() {
	c.Concurrency = positiveOr(c.Concurrency, DefaultConcurrency)
	c.Workers = positiveOr(c.Workers, DefaultWorkers)
	c.Queue = positiveOr(c.Queue, DefaultQueue)
	c.PerTrade = positiveOr(c.PerTrade, DefaultPerTrade)
	if c.Limiter == nil {
		c.Limiter = unlimited{}
	}
	if c.Tracer == nil {
		c.Tracer = untraced{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

func positiveOr(n, def int) int {
	if n <= 0 {
		return def
	}
	return n
}

// Handler answers notifications. Make one with [New] and end it with
// [Handler.Close]; the zero Handler refuses every request with HTTP 503.
type Handler struct {
	cfg       Config
	slots     chan struct{}
	seen      *recent
	resolver  *resolver
	stats     Stats
	badLogger rate.Sometimes // limits the log of forged and malformed requests
}

var _ http.Handler = (*Handler)(nil)

// New returns a handler and starts the goroutines that resolve notified trades;
// they run until [Handler.Close]. The error names a missing field and wraps
// [ErrConfig].
func New(cfg Config) (*Handler, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	h := &Handler{
		cfg: cfg, slots: make(chan struct{}, cfg.Concurrency), seen: newRecent(cfg.Queue),
		badLogger: rate.Sometimes{First: 1, Interval: 10 * time.Second},
	}
	h.resolver = newResolver(cfg, &h.stats)
	return h, nil
}

// Stats returns the counters, which continue to count.
func (h *Handler) Stats() *Stats { return &h.stats }

// Close ends the resolving goroutines. It waits for queries in progress until ctx
// ends, and leaves waiting trades to their own schedules. Shut the HTTP server down
// first. The error is the cause of ctx's end.
func (h *Handler) Close(ctx context.Context) error {
	if h.resolver == nil {
		return nil
	}
	return h.resolver.close(ctx)
}

// ServeHTTP answers one notification with 200 "ok" if it is in the ledger, or adds
// nothing to what is there. Any other answer makes the gateway send it again.
// Refusals do not reveal their reason: 403 a sender that is not allowed, 405 not a
// POST, 413 a body above [MaxBody], 408 a body that did not arrive, 401 a wrong
// signature, 400 not a notification, 503 too many requests or a ledger that cannot
// be used.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.resolver == nil {
		unavailable(w)
		return
	}
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
		h.logBad("wrong signature: forged, or signed with an unknown key", r)
		refuse(w, http.StatusUnauthorized)
	case err != nil:
		h.stats.Malformed.Add(1)
		h.logBad(err.Error(), r)
		refuse(w, http.StatusBadRequest)
	default:
		h.take(w, r, n)
	}
}

// logBad logs at a limited rate; the attributes have the totals.
func (h *Handler) logBad(problem string, r *http.Request) {
	h.badLogger.Do(func() {
		h.cfg.Log.WarnContext(r.Context(), "notification refused", "problem", problem, "from", r.RemoteAddr,
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

// take records a verified notification. Only verified ones use a slot, so that
// forged ones cannot block them.
func (h *Handler) take(w http.ResponseWriter, r *http.Request, n gateway.Notification) {
	if h.seen.has(capture.TradeKey(n.TradeID), digest(n), h.cfg.Recorder.Clock()) {
		h.stats.Duplicates.Add(1)
		accept(w)
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		h.stats.Busy.Add(1)
		unavailable(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	ctx, done := h.cfg.Tracer.Received(ctx, n.TradeID)
	err := h.record(ctx, n)
	done(err)
	if err != nil {
		h.stats.Trouble.Add(1)
		h.cfg.Log.WarnContext(ctx, "recording a notification failed, the gateway will send it again", "trade_id", n.TradeID, "error", err)
		unavailable(w)
		return
	}
	accept(w)
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	// If this fails, the gateway sends the notification again.
	_, _ = io.WriteString(w, "ok")
}

func unavailable(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "5")
	refuse(w, http.StatusServiceUnavailable)
}

// refuse ends the connection too: a client that is refused must not keep a place.
func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Connection", "close")
	http.Error(w, http.StatusText(status), status)
}

// Stats counts notifications since the start. Each request is counted once, in one
// of the first two groups.
type Stats struct {
	// Answered "ok".
	Kept       atomic.Int64 // recorded in the ledger
	Duplicates atomic.Int64 // same content as the trade's last notification
	Redundant  atomic.Int64 // confirms a captured trade
	Capped     atomic.Int64 // the trade has Config.PerTrade notified events already
	NotOurs    atomic.Int64 // verified, about a trade that the ledger does not know

	// Refused.
	Denied    atomic.Int64 // sender not allowed, per request or connection
	Forged    atomic.Int64 // wrong signature
	Malformed atomic.Int64 // not a notification
	TooLarge  atomic.Int64 // body above MaxBody
	Broken    atomic.Int64 // body incomplete
	Busy      atomic.Int64 // too many concurrent requests
	Trouble   atomic.Int64 // recording failed

	// Crowded counts connections that were closed because of a limit.
	Crowded atomic.Int64

	// After the answer.
	Resolved atomic.Int64 // Order Queries about notified trades
	Changed  atomic.Int64 // of them, those that led to an outcome
	Deferred atomic.Int64 // postponed: a call is in progress, or the gateway must not be called
	Dropped  atomic.Int64 // given up, left to the trade's own schedule
}
