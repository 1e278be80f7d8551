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

// Row is one row of a file: a job, or an error.
type Row struct {
	Line int
	// Item is the number of a JSON value that has no line of its own, for example
	// in an array; 0 for any other row.
	Item int
	// Lines is the number of lines of the row.
	Lines int
	Job   capture.Job
	// Header and Body are the message; they belong to the row. Only messages of
	// Options.Encode have a header.
	Header map[string][]string
	Body   []byte
	// Table is set for a row of a CSV: Body is the job in our own shape.
	Table bool
	// Unread lists the members of a message that are not read, with
	// Options.Enveloped only.
	Unread []string
	// Err is the error of a row that is not a valid job; the other rows can still
	// be read. It is a *SkipError for a row that is not meant to be a job.
	Err error
}

// Place returns the place of the row in words.
func (r Row) Place() string {
	if r.Item > 0 {
		return fmt.Sprintf("item %d, line %d", r.Item, r.Line)
	}
	return fmt.Sprintf("line %d", r.Line)
}

// SkipError is the reason why a row is skipped, which is not a fault.
type SkipError struct{ Why string }

// Error implements error.
func (e *SkipError) Error() string { return e.Why }

var errEmptyRow = &SkipError{"it is empty"}

func isSkipped(err error) bool {
	_, ok := errors.AsType[*SkipError](err)
	return ok
}

// Rows yields the rows of a file, one at a time. An error ends it: the rest cannot
// be read.
type Rows = iter.Seq2[Row, error]

// Formats of a file.
const (
	FormatAuto   = "auto"
	FormatCSV    = "csv"
	FormatNDJSON = "ndjson" // JSON in any arrangement
)

// maxRow is the greatest size of a row; a job has at most 256 KiB.
const maxRow = 512 << 10

// Options describe how to read a file. The zero Options read jobs without a
// mapping.
type Options struct {
	Format string // "" is auto
	// Mapping is the mapping for rows of JSON.
	Mapping capture.Mapping
	// Columns has the column of a field, as named in the header, or its constant
	// value; and its unit. A field that is not listed has a column of its own name.
	Columns map[string]capture.Field
	// Comma means that the decimal sign is a comma.
	Comma bool
	// Encoding is the encoding of a file without a byte order mark; "" is UTF-8.
	Encoding string
	// Books reads the books of another system: an order_id may replace the
	// trade_id, and amounts may be missing.
	Books bool
	// Enveloped reads a row of JSON {"headers": …, "body": …} as a message with
	// these headers, and lists unread members, for operators who try a mapping.
	Enveloped bool
	// Encode, if set, writes the message of a row of CSV, instead of JSON of our own
	// shape.
	Encode func(capture.Job) (header map[string][]string, body []byte, err error)
	// Note receives one line about columns that are not read, in each pass; it may
	// be nil.
	Note func(string)
}

// Read returns the rows of a file. Rows of JSON are messages; rows of CSV become
// jobs without a mapping, or what Options.Encode writes.
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

// errJSON is returned for JSON as the input of reconcile, which reads only CSV.
var errJSON = errors.New("the input is JSON, but must be CSV with a header such as trade_id,amount,currency")

// FormatOf returns the format that the name of a file shows, "" if it shows none.
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

// rowLimit limits the bytes of one row: after an open quote in a CSV file, the
// whole rest would otherwise be read as one cell.
type rowLimit struct {
	in   io.Reader
	left int
}

var errRowTooLong = fmt.Errorf("a row is longer than %d bytes; is a quote left open?", maxRow)

// reset starts a new row. The buffer may read one row ahead.
func (l *rowLimit) reset() { l.left = 2 * maxRow }

func (l *rowLimit) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errRowTooLong
	}
	n, err := l.in.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// Reason returns the error of a row, without the words that the list of rows
// repeats.
func Reason(err error) string {
	var bad *capture.MalformedError
	switch {
	case !errors.As(err, &bad) || errors.Unwrap(err) != nil: // for a wrapped error, the outer text counts
		return err.Error()
	case bad.Field == "":
		return bad.Detail + " (" + bad.Reason + ")"
	}
	return bad.Field + ": " + bad.Detail + " (" + bad.Reason + ")"
}
