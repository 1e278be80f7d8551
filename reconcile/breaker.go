package reconcile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// ErrGatewayDown is returned by [Batch.Run] if the gateway gave no useful answer
// for Batch.GiveUp. The items that were not asked about are reported as
// KindUnknown and Unasked; run the batch again later with the same [Cursor].
var ErrGatewayDown = errors.New("the gateway gives no useful answers")

const (
	breakerThreshold  = 10               // useless answers in a row that open the breaker
	breakerFirstPause = 2 * time.Second  // doubles after each failed probe
	breakerMaxPause   = 60 * time.Second // at most
)

// breaker is the circuit breaker of a batch's queries. It opens after
// breakerThreshold useless answers in a row, and on HTTP 429. Useless answers in
// a row may also come from the trades themselves, so the first probe is made at
// once, about a trade that should give a useful answer; further probes follow
// after growing pauses. A useful answer closes it.
type breaker struct {
	now     func() time.Time
	giveUp  time.Duration
	waiting func(since, until time.Time) // may be nil
	// probe reports whether the gateway gives useful answers.
	probe func(context.Context) bool

	mu      sync.Mutex
	useless int       // answers in a row
	since   time.Time // of the first of them
	open    bool
	warned  bool // waiting was called since it opened
	pause   time.Duration
	until   time.Time
	probing chan struct{} // closed when the probe in progress ends; nil if there is none
}

// acquire waits until a query may be made.
func (b *breaker) acquire(ctx context.Context) error {
	for {
		wait, probe, err := b.admit()
		switch {
		case err != nil:
			return err
		case wait > 0:
			err = sleep(ctx, wait)
		case probe == nil:
			return nil
		case probe.mine:
			b.probed(b.probe(ctx), ctx.Err() != nil)
			err = context.Cause(ctx)
		default:
			select {
			case <-probe.ended:
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		if err != nil {
			return err
		}
	}
}

// probeTurn is a probe to make (mine) or to wait for.
type probeTurn struct {
	ended chan struct{}
	mine  bool
}

// admit returns nothing if a query may be made, else what to wait for: a
// duration, or a probe.
func (b *breaker) admit() (wait time.Duration, p *probeTurn, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch now, end := b.now(), b.since.Add(b.giveUp); {
	case !b.open:
		return 0, nil, nil
	case !now.Before(end):
		return 0, nil, fmt.Errorf("%w since %s", ErrGatewayDown, b.since.UTC().Format(time.RFC3339))
	case now.Before(b.until):
		return min(b.until.Sub(now), end.Sub(now)), nil, nil
	case b.probing != nil:
		return 0, &probeTurn{ended: b.probing}, nil
	}
	b.probing = make(chan struct{})
	return 0, &probeTurn{ended: b.probing, mine: true}, nil
}

// probed takes the result of a probe. A probe that was canceled has none.
func (b *breaker) probed(useful, canceled bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.probing)
	b.probing = nil
	switch {
	case useful:
		b.close()
	case !canceled:
		b.warn()
		b.pause = min(max(2*b.pause, breakerFirstPause), breakerMaxPause)
		b.until = b.now().Add(b.pause)
	}
}

// close lets queries pass again. The caller holds mu.
func (b *breaker) close() {
	b.useless, b.open, b.warned, b.pause, b.until = 0, false, false, 0, time.Time{}
}

// warn calls waiting once per opening. The caller holds mu.
func (b *breaker) warn() {
	if !b.warned && b.waiting != nil {
		b.waiting(b.since, b.since.Add(b.giveUp))
	}
	b.warned = true
}

// observe takes the answer to a query.
func (b *breaker) observe(answer capture.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if useful(answer) {
		b.close()
		return
	}
	if b.useless++; b.useless == 1 {
		b.since = b.now()
	}
	// Answers to queries that were in flight when it opened do not extend the
	// pause.
	throttled := answer.HTTPStatus == http.StatusTooManyRequests
	if b.open || !throttled && b.useless < breakerThreshold {
		return
	}
	b.open = true
	if throttled {
		b.warn()
		b.pause = breakerFirstPause
		b.until = b.now().Add(b.pause)
	}
}

// useful reports whether the answer to an Order Query says something about its
// trade, or about our key or user.
func useful(a capture.Answer) bool {
	return a.Kind == capture.AnswerDone && a.Order != nil || a.Kind == capture.AnswerRefused
}
