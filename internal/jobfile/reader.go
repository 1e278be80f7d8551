package jobfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

// Row is one row of a file: a job, or what is wrong with it.
type Row struct {
	Line int
	// Item is the number of a JSON value that does not stand on a line of its
	// own, in an array say; 0 of any other row.
	Item int
	// Lines is how many lines of the file the row takes.
	Lines int
	Job   capture.Job
	Body  []byte // the message; the row's own
	// Table is set for a row of a CSV: Body is the job in our own shape.
	Table bool
	// Unread are the members of a message that nothing is read from; they are
	// listed with Options.Enveloped.
	Unread []string
	// Err is why it is no job; the other rows can still be read. It is a
	// *SkipError of a row that is none and not meant to be one.
	Err error
}

// Place is where the row stands, in words.
func (r Row) Place() string {
	if r.Item > 0 {
		return fmt.Sprintf("item %d, line %d", r.Item, r.Line)
	}
	return fmt.Sprintf("line %d", r.Line)
}

// SkipError is why a row is passed over and is no fault.
type SkipError struct{ Why string }

// Error implements error.
func (e *SkipError) Error() string { return e.Why }

var errEmptyRow = &SkipError{"it is empty"}

func isSkipped(err error) bool {
	_, ok := errors.AsType[*SkipError](err)
	return ok
}

// Rows reads a file from its start to its end. An error ends it: what follows
// cannot be read. It holds one row at a time.
type Rows = iter.Seq2[Row, error]

// Formats of a file.
const (
	FormatAuto   = "auto"
	FormatCSV    = "csv"
	FormatNDJSON = "ndjson" // JSON in any arrangement
)

// maxRow bounds a row; capture takes a job of no more than 256 KiB.
const maxRow = 512 << 10

// Options say how to read a file. The zero Options read our own shape.
type Options struct {
	Format string // "" is auto
	// Mapping is how workers read the rows of JSON.
	Mapping capture.Mapping
	// Columns says for a field which column it is in, by the names in the
	// header, or its value; and the unit. A field that is not listed is in the
	// column of its own name.
	Columns map[string]capture.Field
	// Comma is set if the decimal sign is a comma.
	Comma bool
	// Encoding is the name of the encoding of a file without a byte order mark
	// that is not UTF-8.
	Encoding string
	// Books reads what was captured elsewhere: an order_id may stand for the
	// trade_id, and amounts may be missing.
	Books bool
	// Enveloped takes a row of JSON {"headers": …, "body": …} for a message with
	// these headers, and lists what is not read: for operators who try a mapping.
	Enveloped bool
	// Note receives one line about columns that are not read, in each pass; it may
	// be nil.
	Note func(string)
}

// Read reads the rows of a file. Rows of JSON are messages as they are; those of
// CSV become jobs of our own shape.
func Read(in io.Reader, o Options) (Rows, error) {
	text, err := asText(in, o.Encoding)
	if err != nil {
		return nil, err
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	bounded := &rowLimit{in: text}
	buf := bufio.NewReaderSize(bounded, maxRow)
	bounded.reset()
	start, err := buf.Peek(maxRow / 2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the input: %w", err)
	}
	start = bytes.TrimLeft(start, " \t\n")
	isJSON := bytes.HasPrefix(start, []byte("{")) || bytes.HasPrefix(start, []byte("["))
	switch {
	case o.Format == FormatNDJSON, isJSON && o.Format != FormatCSV:
		return jsonRows(buf, bounded, start, o)
	case isJSON:
		return nil, errJSON
	}
	return csvRows(buf, bounded, o)
}

// errJSON: reconcile's books are CSV, other than what publish takes, and a file
// may have a name that does not fit.
var errJSON = errors.New("the input is JSON; what is wanted is CSV with a header, such as trade_id,amount,currency")

// FormatOf takes the format from the name of a file, if that tells it.
func FormatOf(path string) string {
	path = strings.ToLower(path)
	for _, packed := range []string{".gz", ".zst"} {
		path = strings.TrimSuffix(path, packed)
	}
	switch filepath.Ext(path) {
	case ".csv", ".tsv":
		return FormatCSV
	case ".ndjson", ".jsonl":
		return FormatNDJSON
	}
	return FormatAuto
}

// rowLimit bounds what is read for one row: an open quote in a CSV file would
// otherwise take the whole file for one cell.
type rowLimit struct {
	in   io.Reader
	left int
}

var errRowTooLong = fmt.Errorf("a row is longer than %d bytes; is a quote left open?", maxRow)

// reset begins a new row. Its buffer may read one row ahead.
func (l *rowLimit) reset() { l.left = 2 * maxRow }

func (l *rowLimit) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errRowTooLong
	}
	n, err := l.in.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// Reason is what is wrong with a row, without what the list says anyway.
func Reason(err error) string {
	var bad *capture.MalformedError
	switch {
	case !errors.As(err, &bad) || errors.Unwrap(err) != nil: // of one that is wrapped, the words around it count
		return err.Error()
	case bad.Field == "":
		return bad.Detail + " (" + bad.Reason + ")"
	}
	return bad.Field + ": " + bad.Detail + " (" + bad.Reason + ")"
}
