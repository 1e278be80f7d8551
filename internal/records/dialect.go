package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite", without cgo
)

// readers is the number of connections for queries.
const readers = 4

// dialect holds the differences between the two databases.
type dialect struct {
	postgres bool
	where    string // the database's name for messages, without credentials
}

// IsPostgres reports whether a data source name is the URL of a Postgres
// database; others are paths of SQLite files.
func IsPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

func open(dsn string, o Options, writable bool) (*Store, error) {
	o = o.withDefaults()
	switch {
	case dsn == "":
		return nil, fmt.Errorf("%w: records.dsn is empty", ErrDSN)
	case IsPostgres(dsn):
		return openPostgres(dsn, o, writable)
	case strings.Contains(dsn, "://"):
		scheme, _, _ := strings.Cut(dsn, "://")
		return nil, fmt.Errorf("%w: %.20s:// is neither postgres:// nor the path of a SQLite file", ErrDSN, scheme)
	}
	return openSQLite(dsn, o, writable)
}

// openSQLite opens a SQLite file. One connection writes; readers see the last
// commit and do not wait (WAL). A power failure may lose the last commits together
// with their sequences; their messages are then read again.
func openSQLite(path string, o Options, writable bool) (*Store, error) {
	s := &Store{d: dialect{where: path}, o: o}
	name := "file:" + (&url.URL{Path: path}).EscapedPath() + "?_pragma=busy_timeout(10000)"
	if writable {
		if err := makeFile(path); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDSN, err)
		}
		db, err := sql.Open("sqlite", name+"&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=cache_size(-65536)&_txlock=immediate")
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDSN, err)
		}
		db.SetMaxOpenConns(1)
		s.w = db
	} else if _, err := os.Stat(path); err != nil { // SQLite would create an empty file
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	db, err := sql.Open("sqlite", name+"&_pragma=query_only(true)")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDSN, err)
	}
	db.SetMaxOpenConns(readers)
	s.r = db
	return s, nil
}

// makeFile creates the file, readable by its owner only.
func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func openPostgres(dsn string, o Options, writable bool) (*Store, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil { // the error may contain the password
		return nil, fmt.Errorf("%w: the postgres:// URL cannot be read", ErrDSN)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "capture-worker records"
	}
	s := &Store{o: o, d: dialect{
		postgres: true, where: fmt.Sprintf("postgres database %s at %s:%d", cfg.Database, cfg.Host, cfg.Port),
	}}
	s.r = stdlib.OpenDB(*cfg)
	s.r.SetMaxOpenConns(readers)
	s.r.SetConnMaxIdleTime(5 * time.Minute)
	if writable {
		s.w = stdlib.OpenDB(*cfg)
		s.w.SetMaxOpenConns(len(Sources())) // one for each
	}
	return s, nil
}

// schema returns the text of a migration in the dialect.
func (d dialect) schema(text string) string {
	if d.postgres {
		return strings.NewReplacer("SEQ_KEY", "BIGINT PRIMARY KEY", "BYTES", "BYTEA").Replace(text)
	}
	return strings.NewReplacer("SEQ_KEY", "INTEGER PRIMARY KEY", "BYTES", "BLOB").Replace(text)
}

// rebind replaces ? by $1, $2, … for Postgres. The statements are our own and have
// no other question mark.
func (d dialect) rebind(text string) string {
	if !d.postgres {
		return text
	}
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(text, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		text = after
	}
}

// among returns the condition that a column is in a list of texts, and its
// parameter.
func (d dialect) among(column string, values []string) (condition string, arg any, err error) {
	if d.postgres {
		return column + " = ANY(?)", values, nil
	}
	list, err := json.Marshal(values)
	return column + " IN (SELECT value FROM json_each(?))", string(list), err
}

// forUpdate locks the selected rows until the transaction ends; SQLite has the
// whole database locked.
func (d dialect) forUpdate() string {
	if d.postgres {
		return " FOR UPDATE"
	}
	return ""
}

// forShare prevents changes of the selected rows until the transaction ends.
func (d dialect) forShare() string {
	if d.postgres {
		return " FOR SHARE"
	}
	return ""
}

// kind is the type of a column.
type kind int

const (
	number kind = iota
	text
	flag
	octets
)

// table describes how rows are written: the columns in order, and the treatment of
// an existing row.
type table struct {
	name    string
	columns []column
	clash   string // ON CONFLICT …
}

type column struct {
	name string
	kind kind
}

// put writes rows of a table, the values in the order of its columns: int64,
// string, bool, []byte or nil.
func (s *Store) put(ctx context.Context, tx *sql.Tx, t table, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	put := s.putEach
	if s.d.postgres {
		put = s.putArrays
	}
	if err := put(ctx, tx, t, rows); err != nil {
		return fmt.Errorf("writing %d rows of %s: %w", len(rows), t.name, err)
	}
	return nil
}

func (t table) names() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// update returns the clause that replaces an existing row, identified by its key.
func (t table) update(key ...string) table {
	var set []string
	for _, c := range t.columns {
		set = append(set, c.name+" = excluded."+c.name)
	}
	t.clash = " ON CONFLICT (" + strings.Join(key, ", ") + ") DO UPDATE SET " + strings.Join(set, ", ")
	return t
}

// putEach writes rows one by one, for SQLite, where a statement costs no round
// trip.
func (s *Store) putEach(ctx context.Context, tx *sql.Tx, t table, rows [][]any) error {
	marks := strings.TrimSuffix(strings.Repeat("?,", len(t.columns)), ",")
	insert, err := tx.PrepareContext(ctx, "INSERT INTO "+t.name+" ("+t.names()+") VALUES ("+marks+")"+t.clash)
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, row := range rows {
		if _, err := insert.ExecContext(ctx, cleaned(row)...); err != nil {
			return err
		}
	}
	return nil
}

// putArrays writes rows to Postgres in one statement, with an array for each
// column.
func (s *Store) putArrays(ctx context.Context, tx *sql.Tx, t table, rows [][]any) error {
	arrays := make([]any, len(t.columns))
	marks := make([]string, len(t.columns))
	for i, c := range t.columns {
		n := "$" + strconv.Itoa(i+1)
		switch c.kind {
		case number:
			arrays[i], marks[i] = pointers[int64](rows, i), n+"::bigint[]"
		case text:
			arrays[i], marks[i] = pointers[string](rows, i), n+"::text[]"
		case flag:
			arrays[i], marks[i] = pointers[bool](rows, i), n+"::boolean[]"
		case octets:
			list := make([][]byte, len(rows))
			for j, row := range rows {
				list[j], _ = row[i].([]byte)
			}
			arrays[i], marks[i] = list, n+"::bytea[]"
		}
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO "+t.name+" ("+t.names()+") SELECT * FROM unnest("+strings.Join(marks, ", ")+")"+t.clash, arrays...)
	return err
}

// pointers returns one column of the rows, with nil for a missing value.
func pointers[T any](rows [][]any, column int) []*T {
	list := make([]*T, len(rows))
	for i, row := range rows {
		if v, ok := cleaned(row[column : column+1])[0].(T); ok {
			list[i] = &v
		}
	}
	return list
}
