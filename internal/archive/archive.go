// Package archive keeps the ledger's events beyond the ledger's age: a compressed
// file for each closed day, and a manifest for each file. The manifests are a chain
// of SHA-256 sums, so that nothing can be changed, removed or added unseen.
//
// An event is archived when its manifest is stored, and that happens after the file
// was read back and compared with the ledger, event by event. A crash at any point
// leaves at most a file without a manifest, which the next run passes over.
package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/ledger"
)

// settle is how long after its end a day is closed: the clocks of a cluster's
// servers may differ.
const settle = 10 * time.Minute

// Errors of an Archiver.
var (
	// ErrOtherLedger is wrapped if the archive is that of another ledger.
	ErrOtherLedger = errors.New("the archive holds another ledger")
	// ErrParity is wrapped if what was written is not what the ledger holds. Nothing
	// of it counts.
	ErrParity = errors.New("the file that was written to the archive differs from the ledger")
)

// Archiver writes closed days of a ledger to an archive. There is to be one at a
// time; a second one ends with ErrExists.
type Archiver struct {
	JS     jetstream.JetStream
	Ledger string // stream
	Target Target
	Dir    string // where files are made; "" is the system's temporary folder
	// OpenDay archives the events of the day that is not closed too, up to the last
	// event of now; the rest of the day becomes another file.
	OpenDay bool
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: nothing is logged
	// Stored is called after each manifest, with what is archived then. nil: it is
	// not called.
	Stored func(context.Context, controls.ArchiveMark) error
}

// Report is what a run did.
type Report struct {
	Days   []Manifest           // archived by it
	Mark   controls.ArchiveMark // zero if the archive is empty
	Lost   uint64               // sequences that had left the ledger before they were archived
	Ledger struct{ First, Last uint64 }
}

// Run archives every closed day that is not archived yet, the oldest first.
func (a *Archiver) Run(ctx context.Context) (Report, error) {
	r, err := a.start(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("archiving ledger %s to %s: %w", a.Ledger, a.Target.Where(), err)
	}
	defer r.ledger.Close()
	for {
		more, err := r.next(ctx)
		if err != nil {
			return r.report, fmt.Errorf("archiving ledger %s to %s: %w", a.Ledger, a.Target.Where(), err)
		}
		if !more {
			return r.report, nil
		}
	}
}

// run is one Run.
type run struct {
	*Archiver
	ledger *ledger.JetStream
	info   *jetstream.StreamInfo
	before sealed // the newest manifest
	report Report
}

func (a *Archiver) start(ctx context.Context) (*run, error) {
	if a.Now == nil {
		a.Now = time.Now
	}
	if a.Log == nil {
		a.Log = slog.New(slog.DiscardHandler)
	}
	stream, err := a.JS.Stream(ctx, a.Ledger)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", a.Ledger, err)
	}
	before, err := newest(ctx, a.Target, a.Ledger)
	if err != nil {
		return nil, err
	}
	r := &run{Archiver: a, info: stream.CachedInfo(), before: before}
	r.report.Ledger.First, r.report.Ledger.Last = max(r.info.State.FirstSeq, 1), r.info.State.LastSeq
	if before.name != "" {
		if err := r.sameLedger(ctx); err != nil {
			return nil, err
		}
	}
	r.ledger = ledger.NewJetStream(a.JS, ledger.Options{Stream: a.Ledger})
	return r, nil
}

// sameLedger compares the stream with the newest manifest, and notes how far the
// archive is.
func (r *run) sameLedger(ctx context.Context) error {
	b := r.before
	if b.Ledger != r.Ledger || !b.Created.Equal(r.info.Created) {
		return fmt.Errorf("%w: stream %s made at %s, and this one was made at %s; use another place for it",
			ErrOtherLedger, b.Ledger, b.Created.Format(time.RFC3339), r.info.Created.Format(time.RFC3339))
	}
	if r.info.State.LastSeq < b.Last {
		return fmt.Errorf("%w: it ends at sequence %d, the ledger at %d: a backup was restored; use another place for it", ErrOtherLedger, b.Last, r.info.State.LastSeq)
	}
	var last *jetstream.RawStreamMsg
	for m, err := range readFile(ctx, r.Target, b.Manifest) {
		if err != nil {
			return err
		}
		last = m
	}
	if last == nil || last.Sequence != b.Last {
		return fmt.Errorf("reading %s of the archive: %w: it does not end at sequence %d", b.File, errFile, b.Last)
	}
	return r.mark(ctx, b, last.Time)
}

func (r *run) mark(ctx context.Context, s sealed, stored time.Time) error {
	r.report.Mark = controls.ArchiveMark{Through: s.Last, Stored: stored, Day: s.Day, Head: s.hash, At: r.Now().UTC(), Where: r.Target.Where()}
	if r.Stored == nil {
		return nil
	}
	return r.Stored(ctx, r.report.Mark)
}

// next archives the next closed day. It reports false if there is none.
func (r *run) next(ctx context.Context) (more bool, err error) {
	from := max(r.before.Last+1, r.report.Ledger.First)
	if from > r.report.Ledger.Last {
		return false, nil
	}
	file, err := os.CreateTemp(r.Dir, "capture-archive-*")
	if err != nil {
		return false, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	w, err := newFileWriter(file)
	if err != nil {
		return false, err
	}
	day, last, err := r.collect(ctx, from, w)
	if err != nil || day == "" {
		return false, errors.Join(err, w.close())
	}
	if err := w.close(); err != nil {
		return false, err
	}
	return true, r.seal(ctx, day, last, w, file)
}

// collect writes the events of the first day that is not archived, as far as it is
// closed. It returns no day if it is not.
func (r *run) collect(ctx context.Context, from uint64, w *fileWriter) (day string, last time.Time, err error) {
	var end time.Time
	for m, err := range r.ledger.Messages(ctx, from, r.report.Ledger.Last) {
		if err != nil {
			return "", last, err
		}
		stored := m.Time.UTC()
		if day == "" {
			y, month, d := stored.Date()
			end = time.Date(y, month, d+1, 0, 0, 0, 0, time.UTC)
			if !r.OpenDay && r.Now().Before(end.Add(settle)) {
				return "", last, nil
			}
			day = stored.Format(time.DateOnly)
		}
		// The server's clock may go back a little when the stream's leader changes. An
		// event that is earlier than its predecessor is put in its predecessor's day.
		if !stored.Before(end) {
			return day, last, nil
		}
		if err := w.add(m); err != nil {
			return "", last, err
		}
		last = stored
	}
	return day, last, nil
}

// seal stores the file, reads it back, compares it with the ledger, and stores the
// manifest: from then on the day is archived.
func (r *run) seal(ctx context.Context, day string, last time.Time, w *fileWriter, file *os.File) error {
	t := w.tally
	m := Manifest{
		Format: formatOne, Ledger: r.Ledger, Created: r.info.Created.UTC(), Day: day, Previous: r.before.name, Chain: r.before.hash,
		SHA256: w.sum(), Size: w.size, After: r.before.Last, First: t.first, Last: t.last, Counts: t.Counts,
	}
	if r.before.name == "" {
		m.After = t.first - 1 // what was before is not known
	} else if begins, err := r.begins(ctx); err != nil {
		return err
	} else if begins > m.After+1 {
		m.Lost = min(begins, t.first) - 1 - m.After
	}
	m.Absent = m.Last - m.After - m.Lost - m.Events
	m.File = nameOf(r.Ledger, day, m.After) + "-" + m.SHA256[:16] + ".ndjson.zst"
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	// The name holds the sum of what is in it: what exists is the same.
	if err := r.Target.Create(ctx, m.File, file, m.Size); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	if err := r.parity(ctx, m); err != nil {
		return err
	}
	s, body, err := m.encode()
	if err != nil {
		return err
	}
	if err := r.Target.Create(ctx, s.name, bytes.NewReader(body), int64(len(body))); err != nil {
		return err
	}
	r.before = s
	r.report.Days = append(r.report.Days, m)
	r.report.Lost += m.Lost
	r.Log.InfoContext(ctx, "archived a day", "day", day, "first", m.First, "last", m.Last, "events", m.Events, "lost", m.Lost, "bytes", m.Size, "file", m.File)
	return r.mark(ctx, s, last)
}

// parity holds the stored file against the ledger, event by event. What expires
// from the ledger meanwhile is passed over.
func (r *run) parity(ctx context.Context, m Manifest) error {
	next, stop := iter.Pull2(r.ledger.Messages(ctx, m.First, m.Last))
	defer stop()
	theirs, err, more := next()
	var n, begins uint64
	for ours, fileErr := range readFile(ctx, r.Target, m) {
		if fileErr != nil {
			return fileErr
		}
		if err != nil {
			return err
		}
		n++
		if !more || theirs.Sequence > ours.Sequence {
			if begins <= ours.Sequence {
				if begins, err = r.begins(ctx); err != nil {
					return err
				}
			}
			if begins <= ours.Sequence {
				return fmt.Errorf("%w: the ledger does not hold sequence %d of %s any more", ErrParity, ours.Sequence, m.File)
			}
			continue
		}
		if !same(ours, theirs) {
			return fmt.Errorf("%w at sequence %d of %s", ErrParity, ours.Sequence, m.File)
		}
		theirs, err, more = next()
	}
	if err != nil {
		return err
	}
	if more || n != m.Events {
		return fmt.Errorf("%w: %s holds %d of %d events", ErrParity, m.File, n, m.Events)
	}
	return nil
}

// begins returns the first sequence that the ledger holds now.
func (r *run) begins(ctx context.Context) (uint64, error) {
	stream, err := r.JS.Stream(ctx, r.Ledger)
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", r.Ledger, err)
	}
	return stream.CachedInfo().State.FirstSeq, nil
}

func same(a, b *jetstream.RawStreamMsg) bool {
	return a.Sequence == b.Sequence && a.Subject == b.Subject && a.Time.Equal(b.Time) && bytes.Equal(a.Data, b.Data) &&
		maps.EqualFunc(map[string][]string(a.Header), map[string][]string(b.Header), slices.Equal)
}
