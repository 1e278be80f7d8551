// Package passedover watches the messages that jobs.match, or withdrawals.match, does not take: a typo in
// a condition loses shipments without any other sign. It logs them, and keeps a
// sample where other processes find it.
package passedover

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/ratelog"
	"github.com/capture-worker/capture-worker/worker"
)

const (
	// summaryEvery is the interval between two summaries in the log.
	summaryEvery = time.Hour
	// warnEvery is how long a further message with a trade is not logged again, if
	// it fails the same condition in the same way.
	warnEvery = time.Minute
	// window is the time over which a share is measured, and after which each
	// condition may add to the sample again.
	window = 5 * time.Minute
	// fewest is how many messages a window needs for its share to count.
	fewest = 20
	// jump is how much higher than before a share has to be.
	jump = 0.25
	// weight is that of the newest window in the share before.
	weight = 0.2
	// samplesPerWindow is how many messages each condition adds to the sample.
	samplesPerWindow = 10
	// storeAfter lets some messages come together before the sample is written.
	storeAfter = 2 * time.Second
	// storeTimeout bounds a write of the sample.
	storeTimeout = 5 * time.Second
)

// kind is a condition and how messages fail it.
type kind struct {
	path string
	why  capture.Mismatch
}

func (k kind) String() string {
	return k.path + ": " + map[capture.Mismatch]string{
		capture.MismatchExpected: "an expected value", capture.MismatchMissing: "member missing",
		capture.MismatchCase: "differs in letter case only", capture.MismatchValue: "another value",
	}[k.why]
}

// Watch watches what the workers of one process pass over. Use New.
type Watch struct {
	store func(context.Context, []controls.PassedOver) error
	log   *slog.Logger
	wake  chan struct{} // there are samples to store

	mu        sync.Mutex
	summary   *ratelog.Limiter
	since     map[kind]int // messages since the last summary
	trades    int          // of these, how many are unexpected and name a trade
	warned    map[kind]*ratelog.Limiter
	samples   []controls.PassedOver // not stored yet
	sampled   map[kind]int          // in this window
	done      int                   // messages in this window that are done with
	odd       int                   // of these, passed over and not expected
	measured  bool                  // there was a window with enough messages
	usual     float64               // share of odd ones in the windows before
	loudShare *ratelog.Limiter
	unstored  *ratelog.Limiter
}

// New returns a watch that logs to log, and gives its samples to store.
func New(store func(context.Context, []controls.PassedOver) error, log *slog.Logger) *Watch {
	return &Watch{
		store: store, log: log, wake: make(chan struct{}, 1),
		summary: ratelog.New(summaryEvery), since: map[kind]int{}, warned: map[kind]*ratelog.Limiter{}, sampled: map[kind]int{},
		loudShare: ratelog.New(summaryEvery), unstored: ratelog.New(summaryEvery),
	}
}

// Observe takes what was done with a delivery. It does not block.
func (w *Watch) Observe(d worker.Disposition) {
	if d.Do == worker.Retry {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done++
	if d.PassedOver == nil {
		return
	}
	if w.note(*d.PassedOver, d.PassedOver.TradeID != "") {
		w.odd++
	}
}

// Withdrawal takes a withdrawal that withdrawals.match does not select. It does not
// block.
func (w *Watch) Withdrawal(p controls.PassedOver) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note(p, p.TradeID != "" || p.OrderID != "")
}

// note takes a message; named says that it names what it is about. It reports
// whether the message is unexpected.
func (w *Watch) note(p controls.PassedOver, named bool) bool {
	k := kind{p.Why.Path, p.Why.Kind()}
	w.since[k]++
	odd := k.why != capture.MismatchExpected
	if odd {
		w.unexpected(k, p, named)
	}
	w.summarize()
	return odd
}

// unexpected takes a message with a value that no operator has declared.
func (w *Watch) unexpected(k kind, p controls.PassedOver, named bool) {
	if w.sampled[k] < samplesPerWindow {
		w.sampled[k]++
		w.samples = append(w.samples, p)
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	if !named {
		return
	}
	w.trades++
	if w.warned[k] == nil {
		w.warned[k] = ratelog.New(warnEvery)
	}
	if suppressed, worth := w.warned[k].Allow(""); worth {
		w.log.Warn("message with a trade passed over", "trade_id", p.TradeID, "order_id", p.OrderID,
			"stream", p.Stream, "sequence", p.Sequence, "reason", p.Why.Text(), "suppressed", suppressed)
	}
}

// summarize logs what was passed over since the last summary, if it is time.
func (w *Watch) summarize() {
	if len(w.since) == 0 {
		return
	}
	if _, worth := w.summary.Allow(""); worth {
		w.logSummary()
	}
}

func (w *Watch) logSummary() {
	all, counts := 0, make([]string, 0, len(w.since))
	for _, k := range slices.SortedFunc(maps.Keys(w.since), func(a, b kind) int {
		return cmp.Or(strings.Compare(a.path, b.path), strings.Compare(string(a.why), string(b.why)))
	}) {
		all += w.since[k]
		counts = append(counts, fmt.Sprintf("%s: %d", k, w.since[k]))
	}
	w.log.Info("messages passed over", "messages", all, "with_trade", w.trades, "conditions", counts)
	w.since, w.trades = map[kind]int{}, 0
}

// Run stores samples, measures the share and logs summaries, until ctx ends. Then
// it stores and logs what is left.
func (w *Watch) Run(ctx context.Context) {
	tick := time.NewTicker(window)
	defer tick.Stop()
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			w.flush(context.WithoutCancel(ctx))
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.since) > 0 {
				w.logSummary()
			}
			return
		case <-w.wake:
			if due == nil {
				due = time.After(storeAfter)
			}
		case <-due:
			due = nil
			w.flush(ctx)
		case <-tick.C:
			w.flush(ctx) // again what could not be stored
			w.mu.Lock()
			w.summarize()
			w.measure()
			w.mu.Unlock()
		}
	}
}

// flush stores the samples. What cannot be stored is kept for the next time.
func (w *Watch) flush(ctx context.Context) {
	w.mu.Lock()
	samples := w.samples
	w.samples = nil
	w.mu.Unlock()
	if len(samples) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := w.store(ctx, samples)
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.samples = append(samples, w.samples...)
	w.samples = w.samples[max(0, len(w.samples)-maxUnstored):]
	if _, worth := w.unstored.Allow(""); worth {
		w.log.WarnContext(ctx, "storing the sample of passed-over messages failed, will be retried", "messages", len(samples), "error", err)
	}
}

// maxUnstored bounds the samples that wait for the broker.
const maxUnstored = 100

// measure ends a window: it compares its share with those before. A first window
// of which nothing is taken is a jump too: the condition may be mistyped.
func (w *Watch) measure() {
	done, odd := w.done, w.odd
	w.done, w.odd = 0, 0
	clear(w.sampled)
	if done < fewest {
		return
	}
	share := float64(odd) / float64(done)
	first, usual := !w.measured, w.usual
	w.measured, w.usual = true, share
	if !first {
		w.usual = usual + weight*(share-usual)
	}
	if share-usual <= jump || first && share < 1 {
		return
	}
	if _, worth := w.loudShare.Allow(""); worth {
		w.log.Warn("share of messages passed over by jobs.match has jumped", "share", share, "share_before", usual,
			"messages", odd, "of", done, "window", window)
	}
}
