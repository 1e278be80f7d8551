package records

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Limits of one page.
const (
	DefaultLimit = 50
	MaxLimit     = 1000
)

// Errors of queries.
var (
	ErrNotFound = errors.New("the records have no such entry")
	ErrCursor   = errors.New("the cursor does not belong to this list")
)

// Page selects one page of a list: at most Limit items (0: DefaultLimit), starting
// at Cursor, the Next of the page before.
type Page struct {
	Limit  int
	Cursor string
}

func (p Page) limit() int {
	if p.Limit <= 0 {
		return DefaultLimit
	}
	return min(p.Limit, MaxLimit)
}

// List is one page of results.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"` // the cursor of the next page, "" at the end
	AsOf  uint64 `json:"as_of"`          // the ledger's sequence
}

// listing is a query with pages: the selection, and the columns of its order, which
// identify a row.
type listing struct {
	selected string // SELECT … FROM …
	where    []string
	args     []any
	order    []string // columns, all in one direction
	newest   bool     // descending
}

func (l *listing) add(condition string, args ...any) {
	l.where = append(l.where, condition)
	l.args = append(l.args, args...)
}

// addIf adds a condition column = value, if there is a value.
func (l *listing) addIf(column, value string) {
	if value != "" {
		l.add(column+" = ?", value)
	}
}

// text returns the statement, which selects one row more than the page has.
func (l *listing) text(p Page) (string, []any, error) {
	if p.Cursor != "" {
		after, err := readCursor(p.Cursor, len(l.order))
		if err != nil {
			return "", nil, err
		}
		sign := ">"
		if l.newest {
			sign = "<"
		}
		marks := strings.TrimSuffix(strings.Repeat("?, ", len(l.order)), ", ")
		l.add("("+strings.Join(l.order, ", ")+") "+sign+" ("+marks+")", after...)
	}
	text := l.selected
	if len(l.where) > 0 {
		text += " WHERE " + strings.Join(l.where, " AND ")
	}
	order := l.order
	if l.newest {
		order = make([]string, len(l.order))
		for i, column := range l.order {
			order[i] = column + " DESC"
		}
	}
	return text + " ORDER BY " + strings.Join(order, ", ") + " LIMIT ?", append(l.args, p.limit()+1), nil
}

// list runs a listing on one snapshot. key returns the values of the columns of the
// order.
func list[T any](ctx context.Context, s *Store, l listing, p Page, scan func(*sql.Rows) (T, error), key func(T) []any) (List[T], error) {
	found := List[T]{Items: []T{}}
	text, args, err := l.text(p)
	if err != nil {
		return found, err
	}
	err = s.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if found.AsOf, err = s.asOf(ctx, tx); err != nil {
			return err
		}
		rows, err := s.query(ctx, tx, text, args...)
		if err != nil {
			return err
		}
		return each(rows, func() error {
			item, err := scan(rows)
			found.Items = append(found.Items, item)
			return err
		})
	})
	if err != nil {
		return List[T]{}, err
	}
	if limit := p.limit(); len(found.Items) > limit {
		found.Items = found.Items[:limit]
		found.Next = writeCursor(key(found.Items[limit-1]))
	}
	return found, nil
}

// notFound adds the name of the missing entry to the error that there is none.
func notFound(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	return err
}

// asOf returns the ledger's sequence as of which a snapshot is exact.
func (s *Store) asOf(ctx context.Context, tx *sql.Tx) (uint64, error) {
	p, err := s.place(ctx, tx, SourceLedger, "")
	return p.Applied, err
}

func writeCursor(key []any) string {
	text, err := json.Marshal(key)
	if err != nil { // numbers and texts
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func readCursor(cursor string, columns int) ([]any, error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCursor, err)
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var key []any
	if err := d.Decode(&key); err != nil || len(key) != columns {
		return nil, ErrCursor
	}
	for i, v := range key {
		switch v := v.(type) {
		case string:
		case json.Number:
			if key[i], err = v.Int64(); err != nil {
				return nil, ErrCursor
			}
		default:
			return nil, ErrCursor
		}
	}
	return key, nil
}
