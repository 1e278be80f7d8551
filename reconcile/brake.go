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

// ErrGatewayDown is returned by Batch.Run when the gateway gave no useful
// answer for Batch.GiveUp. What was done is done, the rest was yielded as unknown;
// go on later.
var ErrGatewayDown = errors.New("the gateway gives no useful answers")

const (
	// brakeInARow useless answers in a row may be trouble of the gateway's.
	brakeInARow = 10
	brakeFirst  = 2 * time.Second  // first pause
	brakeMost   = 60 * time.Second // longest
)

// brake stops all queries of a batch while the gateway is in trouble. Useless
// answers in a row may also belong to their trades, of which a batch of the
// troubled ones has many: a probe, a query about a trade that should tell
// something, says which. It is made at once, and then after pauses that grow.
type brake struct {
	now     func() time.Time
	giveUp  time.Duration
	waiting func(since, until time.Time) // may be nil
	// probe reports whether the gateway answers usefully.
	probe func(context.Context) bool

	mu      sync.Mutex
	useless int       // in a row
	since   time.Time // of the first of them
	engaged bool
	warned  bool // waiting was called since it engaged
	pause   time.Duration
	until   time.Time
	ended   chan struct{} // of the probe under way: closed when it has ended; nil if there is none
}

// enter waits until a query may be made.
func (b *brake) enter(ctx context.Context) error {
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

// admit lets a query through (no wait, no trial), or says what to wait for: a
// time, or the end of a probe.
func (b *brake) admit() (wait time.Duration, t *trial, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch now, end := b.now(), b.since.Add(b.giveUp); {
	case !b.engaged:
		return 0, nil, nil
	case !now.Before(end):
		return 0, nil, fmt.Errorf("%w since %s", ErrGatewayDown, b.since.UTC().Format(time.RFC3339))
	case now.Before(b.until):
		return min(b.until.Sub(now), end.Sub(now)), nil, nil
	case b.ended != nil:
		return 0, &trial{ended: b.ended}, nil
	}
	b.ended = make(chan struct{})
	return 0, &trial{ended: b.ended, mine: true}, nil
}

// probed tells how the probe ended. One that was cut short by ourselves tells
// nothing.
func (b *brake) probed(useful, cut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ended)
	b.ended = nil
	switch {
	case useful:
		b.release()
	case !cut:
		b.warn()
		b.pause = min(max(2*b.pause, brakeFirst), brakeMost)
		b.until = b.now().Add(b.pause)
	}
}

// release lets queries through again; mu is held.
func (b *brake) release() {
	b.useless, b.engaged, b.warned, b.pause, b.until = 0, false, false, 0, time.Time{}
}

// warn tells once that queries are held back; mu is held.
func (b *brake) warn() {
	if !b.warned && b.waiting != nil {
		b.waiting(b.since, b.since.Add(b.giveUp))
	}
	b.warned = true
}

// leave tells what a query brought.
func (b *brake) leave(answer capture.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if told(answer) {
		b.release()
		return
	}
	if b.useless++; b.useless == 1 {
		b.since = b.now()
	}
	// Answers to queries that were under way when it engaged do not lengthen the
	// pause.
	throttled := answer.HTTPStatus == http.StatusTooManyRequests
	if b.engaged || !throttled && b.useless < brakeInARow {
		return
	}
	b.engaged = true
	if throttled { // the gateway has said that it wants no more
		b.warn()
		b.pause = brakeFirst
		b.until = b.now().Add(b.pause)
	}
}

// told reports whether an Order Query said something about its trade, or about
// our key or user.
func told(a capture.Answer) bool {
	return a.Kind == capture.AnswerDone && a.Order != nil || a.Kind == capture.AnswerRefused
}
