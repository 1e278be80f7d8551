package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/breaker"
)

// ErrGatewayDown is returned by [Batch.Run] if the gateway gave no useful answer
// for Batch.GiveUp. The items that were not asked about are reported as
// KindUnknown and Unasked; run the batch again later with the same [Cursor].
var ErrGatewayDown = errors.New("the gateway gives no useful answers")

// batchBreaker holds back all queries of a batch while the circuit breaker is
// open. Useless answers in a row may also be about their trades, of which a batch
// of the troubled ones has many: a probe, a query about a trade that was answered
// before, shows which. The first is made at once, the others after pauses that
// grow.
type batchBreaker struct {
	now     func() time.Time
	giveUp  time.Duration
	waiting func(since, until time.Time) // may be nil
	probe   func(context.Context) capture.Answer

	mu      sync.Mutex
	breaker *breaker.Breaker
	warned  bool          // waiting was called since it opened
	ended   chan struct{} // closed when the probe under way has ended; nil if there is none
}

func newBatchBreaker(now func() time.Time, giveUp time.Duration, waiting func(since, until time.Time), probe func(context.Context) capture.Answer) *batchBreaker {
	return &batchBreaker{now: now, giveUp: giveUp, waiting: waiting, probe: probe, breaker: breaker.New(breaker.Config{
		InARow: 10, Throttle: true, ProbeNow: true, ProbeFirst: 2 * time.Second, ProbeMax: time.Minute,
	})}
}

// acquire waits until a query may be made.
func (b *batchBreaker) acquire(ctx context.Context) error {
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

// trial is a probe to wait for, or to make.
type trial struct {
	ended chan struct{}
	mine  bool
}

// admit lets a query through (no wait, no trial), or returns what to wait for: a
// time, or the end of a probe.
func (b *batchBreaker) admit() (wait time.Duration, t *trial, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	since := b.breaker.Since()
	switch now, end := b.now(), since.Add(b.giveUp); {
	case b.breaker.Cause() == breaker.Closed:
		return 0, nil, nil
	case !now.Before(end):
		return 0, nil, fmt.Errorf("%w since %s", ErrGatewayDown, since.UTC().Format(time.RFC3339))
	case now.Before(b.breaker.Next()):
		return min(b.breaker.Next().Sub(now), end.Sub(now)), nil, nil
	case b.ended != nil:
		return 0, &trial{ended: b.ended}, nil
	}
	b.ended = make(chan struct{})
	return 0, &trial{ended: b.ended, mine: true}, nil
}

// probed takes the answer to a probe. One that ended with our own run counts for
// nothing.
func (b *batchBreaker) probed(answer capture.Answer, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ended)
	b.ended = nil
	if answered := useful(answer); ended && !answered {
		return
	}
	if b.breaker.Probed(answer, b.now()) {
		b.warned = false
	} else {
		b.warn()
	}
}

// warn reports once that queries are held back; mu is held.
func (b *batchBreaker) warn() {
	if !b.warned && b.waiting != nil {
		b.waiting(b.breaker.Since(), b.breaker.Since().Add(b.giveUp))
	}
	b.warned = true
}

// observe takes the answer to a query. A useful one to a query that was under way
// when the breaker opened is as good as a probe.
func (b *batchBreaker) observe(answer capture.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.breaker.Cause() != breaker.Closed && !breaker.Useless(answer) {
		b.breaker.Probed(answer, b.now())
		b.warned = false
		return
	}
	if b.breaker.Observe(answer, b.now()) && b.breaker.Next().After(b.now()) {
		b.warn() // throttled: the gateway has said that it wants no more
	}
}

// useful reports whether the answer to an Order Query is about its trade, or about
// our key or user.
func useful(a capture.Answer) bool {
	return a.Kind == capture.AnswerDone && a.Order != nil || a.Kind == capture.AnswerRefused
}
