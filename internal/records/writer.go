package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Source is one of the streams that fill the database.
type Source string

// The sources.
const (
	SourceLedger      Source = "ledger"
	SourceDeadLetters Source = "dead_letters"
	SourceActs        Source = "acts"
)

// Sources lists the sources.
func Sources() []Source { return []Source{SourceLedger, SourceDeadLetters, SourceActs} }

// Place is the position of the database in a source. It is zero if nothing was
// read.
type Place struct {
	Source  Source
	Stream  string
	Created time.Time // creation time of the stream, which with the name identifies it
	First   uint64    // the stream's first sequence when reading began
	Applied uint64    // the database is exact as of this sequence
	Stored  time.Time // when the stream stored that message; zero if it has read none
}

// Writer fills the database. There is one at a time: a newer one makes the older
// ones fail with ErrSuperseded. One goroutine per source may use it.
type Writer struct {
	s     *Store
	id    string // number of takeovers of the database
	epoch int64
	cache *stories
}

// Writer takes the database over from the process that filled it before.
func (s *Store) Writer(ctx context.Context) (*Writer, error) {
	w := &Writer{s: s, cache: newStories(cachedStories)}
	err := s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := s.exec(ctx, tx, "UPDATE store SET epoch = epoch + 1"); err != nil {
			return err
		}
		return s.row(ctx, tx, "SELECT id, epoch FROM store").Scan(&w.id, &w.epoch)
	})
	if err != nil {
		return nil, fmt.Errorf("taking over the records in %s: %w", s.d.where, err)
	}
	return w, nil
}

// Reset empties the database.
func (w *Writer) Reset(ctx context.Context) error {
	err := w.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, name := range []string{"sources", "events", "trades", "orders", "dead_letters", "acts"} {
			wipe := "DELETE FROM " + name
			if w.s.d.postgres {
				wipe = "TRUNCATE " + name
			}
			if _, err := w.s.exec(ctx, tx, wipe); err != nil {
				return err
			}
		}
		return nil
	})
	w.cache.forget()
	if err != nil {
		return fmt.Errorf("emptying the records in %s: %w", w.s.d.where, err)
	}
	return nil
}

// write is Store.write with a check that the writer was not superseded.
func (w *Writer) write(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	return w.s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		// A shared lock, because both sources have the same Writer.
		var epoch int64
		if err := w.s.row(ctx, tx, "SELECT epoch FROM store"+w.s.d.forShare()).Scan(&epoch); err != nil {
			return err
		}
		if epoch != w.epoch {
			return ErrSuperseded
		}
		return f(ctx, tx)
	})
}

// Begin stores the stream of a source before its first message.
func (w *Writer) Begin(ctx context.Context, p Place) error {
	err := w.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := w.s.exec(ctx, tx, "INSERT INTO sources (source, stream, created, first, applied) VALUES (?, ?, ?, ?, ?)",
			string(p.Source), p.Stream, p.Created.UnixMicro(), int64(p.First), int64(p.Applied))
		return err
	})
	if err != nil {
		return fmt.Errorf("starting the records of stream %s: %w", p.Stream, err)
	}
	return nil
}

// Place returns the position of the database in a source.
func (s *Store) Place(ctx context.Context, source Source) (p Place, err error) {
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		p, err = s.place(ctx, tx, source, "")
		return err
	})
	return p, err
}

func (s *Store) place(ctx context.Context, tx *sql.Tx, source Source, lock string) (Place, error) {
	p := Place{Source: source}
	var created, first, applied int64
	var stored sql.NullInt64
	err := s.row(ctx, tx, "SELECT stream, created, first, applied, stored FROM sources WHERE source = ?"+lock, string(source)).
		Scan(&p.Stream, &created, &first, &applied, &stored)
	if errors.Is(err, sql.ErrNoRows) {
		return p, nil
	}
	if err != nil {
		return Place{}, err
	}
	p.Created, p.First, p.Applied, p.Stored = time.UnixMicro(created).UTC(), uint64(first), uint64(applied), timeOf(stored)
	return p, nil
}

// advance moves the position in a source, within the transaction that applies the
// messages. f gets the sequence up to which all messages are applied already.
func (w *Writer) advance(ctx context.Context, source Source, upTo uint64, stored time.Time, f func(context.Context, *sql.Tx, uint64) error) error {
	return w.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		p, err := w.s.place(ctx, tx, source, w.s.d.forUpdate())
		if err != nil {
			return err
		}
		if p.Stream == "" {
			return fmt.Errorf("the records have no stream for source %s", source)
		}
		if upTo <= p.Applied {
			return nil // applied before
		}
		if err := f(ctx, tx, p.Applied); err != nil {
			return err
		}
		_, err = w.s.exec(ctx, tx, "UPDATE sources SET applied = ?, stored = ? WHERE source = ?", int64(upTo), stored.UnixMicro(), string(source))
		return err
	})
}

// cachedStories is the number of trades that are cached, because they may get more
// events soon.
const cachedStories = 8192

// stories caches the last folded trades. It removes the older half when it is full.
type stories struct {
	most     int
	new, old map[string]story
}

func newStories(most int) *stories { return &stories{most: most, new: map[string]story{}} }

func (c *stories) get(trade string) (story, bool) {
	if s, ok := c.new[trade]; ok {
		return s, true
	}
	s, ok := c.old[trade]
	return s, ok
}

func (c *stories) put(trade string, s story) {
	if len(c.new) >= c.most/2 {
		c.old, c.new = c.new, map[string]story{}
	}
	c.new[trade] = s
}

func (c *stories) forget() { c.new, c.old = map[string]story{}, nil }
