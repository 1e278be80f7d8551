package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
)

// Append is Ledger.Append. What the server did not confirm is looked up at the
// stream's leader and, where it is not there, sent again as it was: the guard
// stores it once at most.
func (l *JetStream) Append(ctx context.Context, e capture.Event, after uint64) (uint64, error) {
	if err := checkEvent(e); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, notAppended(e.Type, e.TradeID, err)
	}
	end := time.Now().Add(l.o.Bound)
	msg := l.envelopes.take()
	defer l.envelopes.giveBack(msg)
	if err := msg.fill(&e, after, headersOf(ctx)); err != nil {
		return 0, notAppended(e.Type, e.TradeID, err)
	}
	seq, err := l.commits.publish(ctx, msg)
	if err == nil {
		return seq, nil
	}
	a := &appending{l: l, tradeID: e.TradeID, id: e.ID, typ: e.Type, after: after, msg: msg}
	return a.settle(ctx, end, err)
}

// appending is an Append that was not confirmed at once.
type appending struct {
	l       *JetStream
	tradeID string
	id      string
	typ     capture.EventType
	after   uint64
	msg     *envelope
	// maybe: some try may have been stored, or be on its way to the server
	// still. Once true, only seeing an event behind `after` gives certainty.
	maybe bool
}

// settle goes on, until end, after a first try that failed with err.
func (a *appending) settle(ctx context.Context, end time.Time, err error) (uint64, error) {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for try := 0; ; try++ {
		verdict := judge(err)
		a.maybe = a.maybe || verdict == maybeStored
		if verdict == refused && !a.maybe {
			return 0, notAppended(a.typ, a.tradeID, err)
		}
		if verdict == conflicted || a.maybe {
			if seq, done, err := a.lookUp(ctx, verdict); done {
				return seq, err
			}
		}
		if a.l.js.Conn().IsClosed() || !pause(ctx, try) {
			return 0, a.giveUp(err)
		}
		var seq uint64
		if seq, err = a.l.inbox.publish(ctx, a.msg); err == nil {
			return seq, nil
		}
	}
}

// lookUp asks the leader for the trade's event behind `after`. That place is
// taken once: by this event, or by another, and then this one can never be
// stored. An empty place says nothing about tries that are still on their way.
func (a *appending) lookUp(ctx context.Context, v verdict) (seq uint64, done bool, err error) {
	next, found, err := a.l.leaderGet(ctx, getRequest{Seq: a.after + 1, NextFor: TradeFilter(a.tradeID)})
	switch {
	case err != nil:
		return 0, false, nil
	case !found:
		return 0, v == conflicted && !a.maybe && a.lastIsBefore(ctx), a.conflict(0)
	}
	entry, err := next.entry()
	if err == nil && entry.Event.ID == a.id {
		return next.Seq, true, nil
	}
	// An event that cannot be read is not ours, but it has the place.
	return 0, true, a.conflict(next.Seq)
}

// lastIsBefore: the trade does not reach as far as the writer thought. Its
// events have expired, or the writer is mistaken.
func (a *appending) lastIsBefore(ctx context.Context) bool {
	last, found, err := a.l.leaderGet(ctx, getRequest{LastFor: TradeFilter(a.tradeID)})
	return err == nil && (!found || last.Seq < a.after) && a.after > 0
}

func (a *appending) conflict(found uint64) error {
	return &ConflictError{TradeID: a.tradeID, After: a.after, Found: found}
}

func (a *appending) giveUp(err error) error {
	if a.maybe {
		return fmt.Errorf("appending %s to trade %s after sequence %d in stream %s: %w: %w", a.typ, a.tradeID, a.after, a.l.o.Stream, ErrUncertain, err)
	}
	// A refusal by the guard is no conflict until the event in the way was seen:
	// it may be this very one, appended before, or one that a replicated stream
	// has not stored yet.
	return notAppended(a.typ, a.tradeID, fmt.Errorf("stream %s did not take it within %s: %w", a.l.o.Stream, a.l.o.Bound, err))
}

func notAppended(t capture.EventType, tradeID string, err error) error {
	return fmt.Errorf("appending %s to trade %s: %w", t, tradeID, err)
}

// verdict is what the error of one try says about the event.
type verdict int

const (
	maybeStored verdict = iota // stored, under way, or lost
	notSent                    // nobody took it; worth another try
	conflicted                 // the guard refused it
	refused                    // refused for a reason that stays
)

func judge(err error) verdict {
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrReconnectBufExceeded) {
		return notSent
	}
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) || errors.Is(err, nats.ErrHeadersNotSupported) || errors.Is(err, errClosed) || errors.Is(err, errUnsent) {
		return refused
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	switch {
	case !ok:
		return maybeStored
	case api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence,
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return conflicted
	case api.Code >= 500:
		// No leader, storing failed, out of resources: on a replicated stream
		// another replica may have kept it.
		return maybeStored
	}
	return refused
}
