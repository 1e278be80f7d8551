package records

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrRebuild is true of every ChangedError with errors.Is: the records cannot
// continue and must be rebuilt.
var ErrRebuild = errors.New("the records must be rebuilt")

// Change is the difference between a stream and the one in the records.
type Change string

// The changes.
const (
	ChangedBack     Change = "went_back"    // the stream ends before the position of the records
	ChangedStream   Change = "other_stream" // another name, or created again
	ChangedMessage  Change = "other_events" // another message at the position of the records
	ChangedByExpiry Change = "gap"          // events have expired that the records have not read
)

// ChangedError reports that the records cannot follow a stream any more, for
// example after a restore of a backup. It is ErrRebuild.
type ChangedError struct {
	Source Source
	Change Change
	Stream string
	Have   Place  // position of the records
	First  uint64 // of the stream, now
	Last   uint64
}

func (e *ChangedError) Error() string {
	what := ""
	switch e.Change {
	case ChangedBack:
		what = fmt.Sprintf("stream %s ends at sequence %d, but the records have it up to %d: a backup was restored", e.Stream, e.Last, e.Have.Applied)
	case ChangedStream:
		what = fmt.Sprintf("the records belong to stream %s created at %s, but %s is another one", e.Have.Stream, e.Have.Created.Format(time.RFC3339), e.Stream)
	case ChangedMessage:
		what = fmt.Sprintf("sequence %d of stream %s is another message than in the records: a backup was restored", e.Have.Applied, e.Stream)
	case ChangedByExpiry:
		what = fmt.Sprintf("stream %s begins at sequence %d, but the records end at %d: the messages between expired before they were read", e.Stream, e.First, e.Have.Applied)
	}
	return what + "; stop the process that fills the records and run `capture-worker records rebuild`"
}

// Is reports whether target is ErrRebuild.
func (e *ChangedError) Is(target error) bool { return target == ErrRebuild }

// compare compares a stream with the records. The error is a ChangedError if the
// stream is not a continuation of the one in the records.
func compare(ctx context.Context, stream jetstream.Stream, have Place) error {
	info := stream.CachedInfo()
	changed := &ChangedError{
		Source: have.Source, Stream: info.Config.Name, Have: have, First: info.State.FirstSeq, Last: info.State.LastSeq,
	}
	switch {
	case info.Config.Name != have.Stream || info.Created.UnixMicro() != have.Created.UnixMicro():
		changed.Change = ChangedStream
	case info.State.LastSeq < have.Applied:
		changed.Change = ChangedBack
	// Old dead letters may expire unread, but every event is needed for a fold.
	case have.Source == SourceLedger && info.State.FirstSeq > have.Applied+1:
		changed.Change = ChangedByExpiry
	case have.Stored.IsZero():
		return nil
	default:
		same, err := sameMessage(ctx, stream, have)
		if err != nil || same {
			return err
		}
		changed.Change = ChangedMessage
	}
	return changed
}

// sameMessage reports whether the last message in the records is unchanged in the
// stream; a missing one has expired or was removed.
func sameMessage(ctx context.Context, stream jetstream.Stream, have Place) (bool, error) {
	m, err := bounded(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) { return stream.GetMsg(ctx, have.Applied) })
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading sequence %d of stream %s: %w", have.Applied, have.Stream, err)
	}
	return m.Time.UnixMicro() == have.Stored.UnixMicro(), nil
}

// Lag is the lag of the records behind a stream.
type Lag struct {
	Place
	Last     uint64        // the stream's last sequence
	Messages uint64        // messages not applied yet
	Behind   time.Duration // time between the last message and the last applied one; 0 if none is missing
}

// Lag compares the position in a source with its stream, with one short request to
// the server. The error is a ChangedError if the stream ends before the position,
// or is another one.
func (s *Store) Lag(ctx context.Context, js jetstream.JetStream, source Source, streamName string) (Lag, error) {
	p, err := s.Place(ctx, source)
	if err != nil {
		return Lag{}, err
	}
	stream, err := bounded(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.Stream(ctx, streamName) })
	if err != nil {
		return Lag{}, fmt.Errorf("stream %s: %w", streamName, err)
	}
	return lagOf(stream.CachedInfo(), p)
}

func lagOf(info *jetstream.StreamInfo, p Place) (Lag, error) {
	l := Lag{Place: p, Last: info.State.LastSeq}
	if p.Stream != "" && (info.Config.Name != p.Stream || info.Created.UnixMicro() != p.Created.UnixMicro()) {
		return l, &ChangedError{Source: p.Source, Change: ChangedStream, Stream: info.Config.Name, Have: p, First: info.State.FirstSeq, Last: l.Last}
	}
	if l.Last < p.Applied {
		return l, &ChangedError{Source: p.Source, Change: ChangedBack, Stream: info.Config.Name, Have: p, First: info.State.FirstSeq, Last: l.Last}
	}
	l.Messages = l.Last - p.Applied
	if l.Messages > 0 && !p.Stored.IsZero() {
		l.Behind = max(info.State.LastTime.Sub(p.Stored), 0)
	}
	return l, nil
}
