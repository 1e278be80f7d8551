package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Errors of Restore.
var (
	ErrNoDay    = errors.New("the archive does not have this day")
	ErrNotEmpty = errors.New("the ledger to restore into exists")
	ErrAbsent   = errors.New("the day has sequences without an event")
)

// restoreTimeout bounds the storing of one event.
const restoreTimeout = 10 * time.Second

// Restore puts days back into a ledger that does not exist yet.
type Restore struct {
	Target Target
	Ledger string // stream in the archive
	JS     jetstream.JetStream
	// Stream is what is created; its subjects and limits are those of a ledger.
	Stream jetstream.StreamConfig
}

// Days restores the days from one to another, both included, and returns how many
// events it stored. Each event keeps its sequence, subject, headers and bytes; the
// server gives it a new time of storing. The file of each day is read to its end
// and compared with its manifest before the first event of it is stored.
func (r Restore) Days(ctx context.Context, first, last string) (events uint64, err error) {
	days, err := r.days(ctx, first, last)
	if err != nil {
		return 0, err
	}
	cfg := r.Stream
	cfg.FirstSeq = days[0].First
	if _, err := r.JS.Stream(ctx, cfg.Name); err == nil {
		return 0, fmt.Errorf("%w: stream %s", ErrNotEmpty, cfg.Name)
	} else if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0, fmt.Errorf("looking for stream %s: %w", cfg.Name, err)
	}
	if _, err := r.JS.CreateStream(ctx, cfg); err != nil {
		return 0, fmt.Errorf("creating the stream to restore into: %w", err)
	}
	seq := days[0].First - 1
	for _, m := range days {
		for msg, err := range readFile(ctx, r.Target, m) {
			if err == nil {
				seq, err = r.put(ctx, cfg.Name, msg, seq)
			}
			if err != nil {
				return events, err
			}
			events++
		}
	}
	return events, nil
}

// days selects the manifests, and reads their files: nothing is created for days
// that cannot be restored as a whole.
func (r Restore) days(ctx context.Context, first, last string) ([]Manifest, error) {
	names, err := manifests(ctx, r.Target, r.Ledger)
	if err != nil {
		return nil, err
	}
	var days []Manifest
	for _, name := range names {
		s, err := readManifest(ctx, r.Target, name)
		if err != nil {
			return nil, err
		}
		if s.Day < first || s.Day > last {
			continue
		}
		if s.Absent > 0 || s.Lost > 0 && len(days) > 0 {
			return nil, fmt.Errorf("%w: %s lacks %d after sequence %d, so that later events would get other sequences", ErrAbsent, s.File, s.Absent+s.Lost, s.After)
		}
		for _, err := range readFile(ctx, r.Target, s.Manifest) {
			if err != nil {
				return nil, err
			}
		}
		days = append(days, s.Manifest)
	}
	if len(days) == 0 {
		return nil, fmt.Errorf("%w: %s to %s", ErrNoDay, first, last)
	}
	return days, nil
}

// put stores one event behind the one before it.
func (r Restore) put(ctx context.Context, stream string, m *jetstream.RawStreamMsg, after uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, restoreTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: m.Subject, Data: m.Data, Header: nats.Header{}}
	for name, values := range m.Header {
		// The conditions of the first writing do not hold again.
		if !strings.HasPrefix(name, "Nats-") {
			msg.Header[name] = values
		}
	}
	if after >= m.Sequence {
		return 0, fmt.Errorf("restoring sequence %d: %w: it comes after %d", m.Sequence, errFile, after)
	}
	ack, err := r.JS.PublishMsg(ctx, msg, jetstream.WithExpectStream(stream))
	if err != nil {
		return 0, fmt.Errorf("restoring sequence %d: %w", m.Sequence, err)
	}
	if ack.Sequence != m.Sequence {
		return 0, fmt.Errorf("restoring sequence %d: the server stored it as %d: another program writes to stream %s", m.Sequence, ack.Sequence, stream)
	}
	return ack.Sequence, nil
}
