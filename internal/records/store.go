package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// queryTimeout limits one transaction, reading or writing.
const queryTimeout = time.Minute

// Errors to test for with errors.Is.
var (
	// ErrDSN means that the data source name is not that of a usable database.
	ErrDSN = errors.New("not a usable database for the records (records.dsn)")
	// ErrSchema means that the database has no records, or those of another version
	// of the program.
	ErrSchema = errors.New("the database does not hold records of this version")
	// ErrSuperseded means that another writer has taken over the database.
	ErrSuperseded = errors.New("another process has taken over these records")
)

// Options of a store. The zero value of a field is its default.
type Options struct {
	// Window is how long the gateway keeps an authorization open, for the
	// deadlines; capture.AuthorizationWindow.
	Window time.Duration
	Log    *slog.Logger // nil: nothing is logged
}

func (o Options) withDefaults() Options {
	if o.Window <= 0 {
		o.Window = capture.AuthorizationWindow
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Store is the read model in its database. Its methods may be called
// concurrently.
type Store struct {
	d dialect
	o Options
	w *sql.DB // for writing: SQLite has one writer at a time
	r *sql.DB // for reading
}

// Open opens the database for writing, and creates or migrates its tables. dsn is
// the path of a SQLite file or the URL of a Postgres database.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	s, err := open(dsn, o, true)
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("preparing the records in %s: %w", s.d.where, err)
	}
	return s, nil
}

// OpenReader opens the database for queries only. The error wraps ErrSchema if no
// Follower of this version has written to it.
func OpenReader(ctx context.Context, dsn string, o Options) (*Store, error) {
	s, err := open(dsn, o, false)
	if err != nil {
		return nil, err
	}
	if err := s.checkSchema(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("opening the records in %s: %w", s.d.where, err)
	}
	return s, nil
}

// Close closes the database.
func (s *Store) Close() error {
	var err error
	if s.w != nil {
		err = s.w.Close()
	}
	return errors.Join(err, s.r.Close())
}

// Where returns the name of the database, without credentials.
func (s *Store) Where() string { return s.d.where }

// write runs f in a transaction, which is committed if f succeeds.
func (s *Store) write(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	if s.w == nil {
		return errors.New("the records are open for reading only")
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	return inTx(ctx, s.w, nil, f)
}

// read runs f on one snapshot of the database.
func (s *Store) read(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	return s.readFor(ctx, queryTimeout, f)
}

// readFor is read with a bound of its own.
func (s *Store) readFor(ctx context.Context, most time.Duration, f func(context.Context, *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err := inTx(ctx, s.r, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}, f)
	if err != nil {
		return fmt.Errorf("reading the records in %s: %w", s.d.where, err)
	}
	return nil
}

func inTx(ctx context.Context, db *sql.DB, o *sql.TxOptions, f func(context.Context, *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	if err := f(ctx, tx); err != nil {
		return errors.Join(err, rolledBack(tx))
	}
	return tx.Commit()
}

func rolledBack(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// query and row run a statement whose parameters are written as ?.
func (s *Store) query(ctx context.Context, tx *sql.Tx, text string, args ...any) (*sql.Rows, error) {
	return tx.QueryContext(ctx, s.d.rebind(text), cleaned(args)...)
}

func (s *Store) row(ctx context.Context, tx *sql.Tx, text string, args ...any) *sql.Row {
	return tx.QueryRowContext(ctx, s.d.rebind(text), cleaned(args)...)
}

func (s *Store) exec(ctx context.Context, tx *sql.Tx, text string, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, s.d.rebind(text), cleaned(args)...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// clean returns a text that Postgres accepts: valid UTF-8 without the zero
// character. SQLite gets the same.
func clean(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func cleaned(args []any) []any {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = clean(text)
		}
	}
	return args
}

// micros returns a time in the stored form, nil for the zero time and for times
// that the column cannot hold.
func micros(t time.Time) any {
	if t.IsZero() || t.Year() > 9999 || t.Year() < 1 {
		return nil
	}
	return t.UnixMicro()
}

// timeOf is the inverse of micros.
func timeOf(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}

// textOf returns a text in the stored form, nil for none.
func textOf(s string) any {
	if s == "" {
		return nil
	}
	return s
}
