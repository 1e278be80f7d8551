package service

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/archive"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/records"
)

// openArchive opens the archive, if there is one.
func openArchive(ctx context.Context, c config.Config, js jetstream.JetStream) (archive.Target, error) {
	if c.Archive.To == "" {
		return nil, nil
	}
	target, err := archive.OpenTarget(ctx, c.Archive.To, js)
	if err != nil {
		return nil, fmt.Errorf("archive.to: %w", err)
	}
	return target, nil
}

// HasRecords reports whether the configuration names a database of the records.
func HasRecords(c config.Config) bool {
	return c.Records.DSN != "" && c.Records.DSN != config.RecordsOff
}

// TemporaryRecords fills records for one question from the streams, in a database
// in dir that remove closes and deletes. It needs memory for a few batches, and
// some kilobytes of disk for a trade.
func TemporaryRecords(ctx context.Context, c config.Config, js jetstream.JetStream, dir string) (store *records.Store, remove func() error, err error) {
	return temporary(ctx, c, dir, func(w *records.Writer) error {
		return fillLedger(ctx, c, js, w, time.Time{}, func(string) bool { return true })
	})
}

// TemporaryActs is TemporaryRecords for the acts of operators alone, since a time
// if that is not zero: it applies no other events, so that an act on a trade does
// not name its order and sum.
func TemporaryActs(ctx context.Context, c config.Config, js jetstream.JetStream, dir string, since time.Time) (store *records.Store, remove func() error, err error) {
	types := []string{string(capture.Released), string(capture.Retried), string(capture.Withdrawn), string(capture.Dismissed)}
	return temporary(ctx, c, dir, func(w *records.Writer) error {
		err := fillLedger(ctx, c, js, w, since, func(subject string) bool {
			return slices.Contains(types, subject[strings.LastIndexByte(subject, '.')+1:])
		})
		if err == nil {
			err = fillNotes(ctx, c, js, w)
		}
		if err == nil {
			err = fillActs(ctx, c, js, w, since)
		}
		return err
	})
}

func temporary(ctx context.Context, c config.Config, dir string, fill func(*records.Writer) error) (store *records.Store, remove func() error, err error) {
	own, err := os.MkdirTemp(dir, ".capture-worker-records-*")
	if err != nil {
		return nil, nil, fmt.Errorf("creating temporary records: %w", err)
	}
	remove = func() error {
		var closed error
		if store != nil {
			closed = store.Close()
		}
		return errors.Join(closed, os.RemoveAll(own))
	}
	var w *records.Writer
	if store, err = records.Open(ctx, filepath.Join(own, recordsFile), records.Options{Window: c.Gateway.Window}); err == nil {
		w, err = store.Writer(ctx)
	}
	if err == nil {
		err = fill(w)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("reading the streams into temporary records: %w", err), remove())
	}
	return store, remove, nil
}

// fillLedger applies the ledger's events whose subject is wanted.
func fillLedger(ctx context.Context, c config.Config, js jetstream.JetStream, w *records.Writer, since time.Time, wanted func(subject string) bool) error {
	place, err := beginning(ctx, js, records.SourceLedger, c.Ledger.Stream)
	if err != nil {
		return err
	}
	whole := archive.Whole{JS: js, Ledger: c.Ledger.Stream}
	if whole.Target, err = openArchive(ctx, c, js); err != nil {
		return err
	}
	first, err := whole.Begins(ctx)
	if err != nil {
		return err
	}
	if first > 0 {
		place.First, place.Applied = min(place.First, first), min(place.Applied, first-1)
	}
	return w.Fill(ctx, place, only(whole.Messages(ctx, since), wanted), w.ApplyLedger)
}

// fillActs applies the record of operators' acts. Before the first worker of this
// version there is none.
func fillActs(ctx context.Context, c config.Config, js jetstream.JetStream, w *records.Writer, since time.Time) error {
	place, err := beginning(ctx, js, records.SourceActs, c.Jobs.ActsStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	all := func(string) bool { return true }
	stored := archive.Whole{JS: js, Ledger: c.Jobs.ActsStream}.Messages(ctx, since) // no archive has it
	return w.Fill(ctx, place, only(stored, all), func(ctx context.Context, messages []records.Message) error {
		return w.ApplyActs(ctx, messages, c.Ledger.Stream)
	})
}

// fillNotes applies the notes about dead letters.
func fillNotes(ctx context.Context, c config.Config, js jetstream.JetStream, w *records.Writer) error {
	place, err := beginning(ctx, js, records.SourceDeadLetters, c.Jobs.DLQStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	decoder, err := capture.NewDecoder(c.JobMapping())
	if err != nil {
		return err
	}
	notes := func(yield func(records.Message, error) bool) {
		for m, err := range (deadletter.Store{JS: js, Stream: c.Jobs.DLQStream}).Notes(ctx) {
			var meta *jetstream.MsgMetadata
			if err == nil {
				meta, err = m.Metadata()
			}
			if err != nil {
				yield(records.Message{}, err)
				return
			}
			if !yield(records.Message{Seq: meta.Sequence.Stream, Stored: meta.Timestamp, Subject: m.Subject(), Header: m.Headers(), Body: m.Data()}, nil) {
				return
			}
		}
	}
	return w.Fill(ctx, place, notes, func(ctx context.Context, messages []records.Message) error {
		return w.ApplyLetters(ctx, messages, decoder)
	})
}

// beginning is the place before the first message of a stream.
func beginning(ctx context.Context, js jetstream.JetStream, source records.Source, name string) (records.Place, error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return records.Place{}, fmt.Errorf("stream %s: %w", name, err)
	}
	info := stream.CachedInfo()
	first := max(info.State.FirstSeq, 1)
	return records.Place{Source: source, Stream: info.Config.Name, Created: info.Created, First: first, Applied: first - 1}, nil
}

// only yields the messages whose subject is wanted. Of the others only the last one
// is yielded, without its subject, so that its sequence counts.
func only(messages iter.Seq2[*jetstream.RawStreamMsg, error], wanted func(subject string) bool) iter.Seq2[records.Message, error] {
	return func(yield func(records.Message, error) bool) {
		var skipped records.Message
		for m, err := range messages {
			if err != nil {
				yield(records.Message{}, err)
				return
			}
			if !wanted(m.Subject) {
				skipped = records.Message{Seq: m.Sequence, Stored: m.Time}
				continue
			}
			skipped = records.Message{}
			if !yield(records.Message{Seq: m.Sequence, Stored: m.Time, Subject: m.Subject, Header: m.Header, Body: m.Data}, nil) {
				return
			}
		}
		if skipped.Seq != 0 {
			yield(skipped, nil)
		}
	}
}
