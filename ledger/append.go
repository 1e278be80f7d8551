package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger/internal/appender"
)

// Append implements Ledger. An event that the server did not confirm is looked
// up at the stream's leader. If it is not there, the same message is sent again:
// the guard stores it at most once.
func (l *JetStream) Append(ctx context.Context, e capture.Event, after uint64, opts ...AppendOption) (uint64, error) {
	if err := l.usable(); err != nil {
		return 0, err
	}
	if err := checkEvent(e); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, notAppended(e.Type, e.TradeID, err)
	}
	end := time.Now().Add(l.o.Bound)
	msg, err := l.appender.Message(&e, after, headerOf(opts))
	if err != nil {
		return 0, notAppended(e.Type, e.TradeID, err)
	}
	defer l.appender.Release(msg)
	seq, err := l.appender.Publish(ctx, msg)
	if err == nil {
		return seq, nil
	}
	u := &unconfirmed{l: l, tradeID: e.TradeID, id: e.ID, typ: e.Type, after: after, msg: msg}
	return u.resolve(ctx, end, err)
}

// unconfirmed is an append that the server did not confirm at the first try.
type unconfirmed struct {
	l       *JetStream
	tradeID string
	id      string
	typ     capture.EventType
	after   uint64
	msg     *appender.Message
	// maybe means that a try may be stored, or still be on its way to the server.
	// Once it is true, only an event found after the stated sequence gives
	// certainty.
	maybe bool
}

// resolve looks up and tries again until end. err is the error of the first try.
func (u *unconfirmed) resolve(ctx context.Context, end time.Time, err error) (uint64, error) {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for try := 0; ; try++ {
		outcome := appender.Classify(err)
		u.maybe = u.maybe || outcome == appender.MaybeStored
		if outcome == appender.Refused && !u.maybe {
			return 0, notAppended(u.typ, u.tradeID, err)
		}
		if outcome == appender.Conflict || u.maybe {
			if seq, done, err := u.lookUp(ctx, outcome); done {
				return seq, err
			}
		}
		if u.l.js.Conn().IsClosed() || !pause(ctx, try) {
			return 0, u.unresolved(err)
		}
		var seq uint64
		if seq, err = u.l.appender.PublishSingly(ctx, u.msg); err == nil {
			return seq, nil
		}
	}
}

// lookUp asks the leader for the trade's next event after the stated sequence.
// If it is this event, the append succeeded. If it is another one, this event
// can never be stored. If there is none, tries may still be on their way.
func (u *unconfirmed) lookUp(ctx context.Context, outcome appender.Outcome) (seq uint64, done bool, err error) {
	next, found, err := u.l.leaderGet(ctx, getRequest{Seq: u.after + 1, NextFor: TradeFilter(u.tradeID)})
	switch {
	case err != nil:
		return 0, false, nil
	case !found:
		return 0, outcome == appender.Conflict && !u.maybe && u.lastIsBefore(ctx), u.conflict(0)
	}
	entry, err := next.entry()
	if err == nil && entry.Event.ID == u.id {
		return next.Seq, true, nil
	}
	// An event that cannot be decoded is not this one, but it comes next.
	return 0, true, u.conflict(next.Seq)
}

// lastIsBefore reports whether the trade's last event is before the stated one:
// its events have expired, or the writer stated a wrong sequence.
func (u *unconfirmed) lastIsBefore(ctx context.Context) bool {
	last, found, err := u.l.leaderGet(ctx, getRequest{LastFor: TradeFilter(u.tradeID)})
	return err == nil && (!found || last.Seq < u.after) && u.after > 0
}

func (u *unconfirmed) conflict(found uint64) error {
	return &ConflictError{TradeID: u.tradeID, After: u.after, Found: found}
}

// unresolved returns the error after the last try.
func (u *unconfirmed) unresolved(err error) error {
	if u.maybe {
		return fmt.Errorf("appending %s to trade %s after sequence %d in stream %s: %w: %w", u.typ, u.tradeID, u.after, u.l.o.Stream, ErrUncertain, err)
	}
	// A refusal by the guard is a conflict only if the other event was found: it
	// may be this event from an earlier call, or one that a replicated stream
	// has not stored yet.
	return notAppended(u.typ, u.tradeID, fmt.Errorf("stream %s did not store it within %s: %w", u.l.o.Stream, u.l.o.Bound, err))
}

func notAppended(t capture.EventType, tradeID string, err error) error {
	return fmt.Errorf("appending %s to trade %s: %w", t, tradeID, err)
}
