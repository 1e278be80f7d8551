package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

// row is one row of the input: a job, or what is wrong with it.
type row struct {
	line int
	job  capture.Job
	body []byte // the message; the row's own
	err  error  // why it is no job; the other rows can still be read
}

// rows reads an input from its start to its end. An error ends it: what
// follows cannot be read. It holds one row at a time.
type rows = iter.Seq2[row, error]

// Formats of the input.
const (
	formatAuto   = "auto"
	formatCSV    = "csv"
	formatNDJSON = "ndjson"
)

const (
	// maxRow bounds a row; capture takes a job of no more than 256 KiB.
	maxRow = 512 << 10
	// byteOrderMark starts a text that a spreadsheet wrote.
	byteOrderMark = "\uFEFF"
)

// readRows reads jobs from in. Rows of JSON are published as they are; those
// of CSV become jobs of our own shape. note is told, once, of columns that are
// not read.
func readRows(in io.Reader, format string, dec *capture.Decoder, note func(string)) (rows, error) {
	bounded := &rowLimit{in: in}
	buf := bufio.NewReaderSize(bounded, maxRow)
	bounded.reset()
	if mark, err := buf.Peek(len(byteOrderMark)); err == nil && string(mark) == byteOrderMark {
		_, _ = buf.Discard(len(byteOrderMark)) // it is in the buffer
	}
	if format == formatAuto {
		var err error
		if format, err = guessFormat(buf); err != nil {
			return nil, err
		}
	}
	if format == formatCSV {
		return csvRows(buf, bounded, dec, note)
	}
	return jsonRows(buf, bounded, dec), nil
}

// formatOf takes the format from the name of a file, where that tells it.
func formatOf(path string) string {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv":
		return formatCSV
	case ".ndjson", ".jsonl":
		return formatNDJSON
	}
	return formatAuto
}

// guessFormat looks at the first character: a row of JSON begins with {.
func guessFormat(buf *bufio.Reader) (string, error) {
	start, err := buf.Peek(maxRow / 2)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the input: %w", err)
	}
	start = bytes.TrimLeft(start, " \t\r\n")
	if bytes.HasPrefix(start, []byte("[")) {
		return "", errors.New("the input is a JSON array; write one object a line, as `jq -c '.[]'` does")
	}
	if bytes.HasPrefix(start, []byte("{")) {
		return formatNDJSON, nil
	}
	return formatCSV, nil
}

// jsonRows reads one JSON object a line. Empty lines are passed over.
func jsonRows(buf *bufio.Reader, bounded *rowLimit, dec *capture.Decoder) rows {
	return func(yield func(row, error) bool) {
		for line := 1; ; line++ {
			bounded.reset()
			text, err := buf.ReadSlice('\n')
			r := row{line: line}
			switch {
			case errors.Is(err, bufio.ErrBufferFull):
				r.err = fmt.Errorf("the line is longer than %d bytes", maxRow)
				err = skipLine(buf, bounded)
			default:
				r.body = slices.Clone(bytes.TrimSpace(text))
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(row{}, fmt.Errorf("line %d: %w", line, err))
				return
			}
			if r.err == nil && len(r.body) > 0 {
				r.job, r.err = dec.Decode(nil, r.body)
			}
			if (r.err != nil || len(r.body) > 0) && !yield(r, nil) {
				return
			}
			if err != nil {
				return
			}
		}
	}
}

func skipLine(buf *bufio.Reader, bounded *rowLimit) error {
	for {
		bounded.reset()
		if _, err := buf.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
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

// reason is what is wrong with a row, without what the list says anyway.
func reason(err error) string {
	bad, is := errors.AsType[*capture.MalformedError](err)
	switch {
	case !is:
		return err.Error()
	case bad.Field == "":
		return bad.Detail + " (" + bad.Reason + ")"
	}
	return bad.Field + ": " + bad.Detail + " (" + bad.Reason + ")"
}
