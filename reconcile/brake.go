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
// answer for Batch.GiveUp. What was done is done; go on later.
var ErrGatewayDown = errors.New("the gateway gives no useful answers")

const (
	// brakeInARow useless answers in a row are trouble of the gateway's, not of
	// a trade's.
	brakeInARow = 10
	brakeFirst  = 2 * time.Second  // first pause
	brakeMost   = 60 * time.Second // longest
)

// brake stops all queries of a batch while the gateway is in trouble, and then
// lets one at a time try whether it is back.
type brake struct {
	now     func() time.Time
	giveUp  time.Duration
	waiting func(since, until time.Time) // may be nil

	mu      sync.Mutex
	useless int       // in a row
	since   time.Time // of the first of them
	pause   time.Duration
	until   time.Time
	trial   bool          // one is trying
	ended   chan struct{} // closed when the trial has ended
}

// enter waits until a query may be made. trial is to be handed to leave.
func (b *brake) enter(ctx context.Context) (trial bool, err error) {
	for {
		wait, ended, trial, err := b.admit()
		switch {
		case err != nil:
			return false, err
		case wait > 0:
			err = sleep(ctx, wait)
		case ended != nil:
			select {
			case <-ended:
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		default:
			return trial, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// admit lets a query through, or says what to wait for: a time, or the end of
// the one that tries.
func (b *brake) admit() (wait time.Duration, ended <-chan struct{}, trial bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch now, end := b.now(), b.since.Add(b.giveUp); {
	case b.pause == 0:
		return 0, nil, false, nil
	case !now.Before(end):
		return 0, nil, false, fmt.Errorf("%w since %s", ErrGatewayDown, b.since.UTC().Format(time.RFC3339))
	case now.Before(b.until):
		return min(b.until.Sub(now), end.Sub(now)), nil, false, nil
	case b.trial:
		return 0, b.ended, false, nil
	}
	b.trial, b.ended = true, make(chan struct{})
	return 0, nil, true, nil
}

// leave tells what the query brought. A query that was cut short by ourselves
// is nobody's trouble: nil.
func (b *brake) leave(trial bool, answer *capture.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if trial {
		b.trial = false
		close(b.ended)
	}
	switch {
	case answer == nil:
		return
	case told(*answer):
		b.useless, b.pause = 0, 0
		return
	}
	if b.useless++; b.useless == 1 {
		b.since = b.now()
	}
	// Answers to queries that were under way when the pause began do not
	// lengthen it.
	engages := b.pause == 0 && (b.useless >= brakeInARow || answer.HTTPStatus == http.StatusTooManyRequests)
	if engages && b.waiting != nil {
		b.waiting(b.since, b.since.Add(b.giveUp))
	}
	if trial || engages {
		b.pause = min(max(2*b.pause, brakeFirst), brakeMost)
		b.until = b.now().Add(b.pause)
	}
}

// told reports whether an Order Query said something about its trade, or about
// our key or user.
func told(a capture.Answer) bool {
	return a.Kind == capture.AnswerDone && a.Order != nil || a.Kind == capture.AnswerRefused
}
