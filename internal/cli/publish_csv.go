package cli

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
)

// csvRows reads CSV with a header that names the fields of a job. An empty
// cell is a field that is not there.
func csvRows(buf *bufio.Reader, bounded *rowLimit, dec *capture.Decoder, note func(string)) (rows, error) {
	isJSON := looksLikeJSON(buf)
	in := csv.NewReader(buf)
	in.Comma = delimiter(buf)
	in.FieldsPerRecord = -1 // a row of another length is a bad row, not the end
	in.ReuseRecord = true
	columns, ignored, err := csvHeader(in)
	switch {
	case err != nil && isJSON:
		return nil, errJSON
	case err != nil:
		return nil, err
	}
	if len(ignored) > 0 {
		note("columns that are not read: " + strings.Join(ignored, ", "))
	}
	return func(yield func(row, error) bool) {
		for {
			bounded.reset()
			record, err := in.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(row{}, fmt.Errorf("the CSV cannot be read on: %w", err))
				return
			}
			line, _ := in.FieldPos(0)
			if !yield(csvRow(line, columns, record, dec), nil) {
				return
			}
		}
	}, nil
}

// csvHeader reads the first line.
func csvHeader(in *csv.Reader) (columns, ignored []string, err error) {
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("the input is empty, not even a header is there; is it the right file?")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the header: %w", err)
	}
	return readHeader(header)
}

// errJSON: reconcile's books are CSV, other than what publish takes, and a file
// may have a name that does not fit.
var errJSON = errors.New("the input is JSON; what is wanted is CSV with a header, such as trade_id,amount,currency")

// looksLikeJSON: the input begins as an object or an array does.
func looksLikeJSON(buf *bufio.Reader) bool {
	start, _ := buf.Peek(4 << 10) // an error shows when the header is read
	start = bytes.TrimLeft(start, " \t\r\n")
	return bytes.HasPrefix(start, []byte("{")) || bytes.HasPrefix(start, []byte("["))
}

// delimiter is what stands between the names of the header: spreadsheets write
// semicolons where the comma is the decimal sign. No field's name has one.
func delimiter(buf *bufio.Reader) rune {
	start, _ := buf.Peek(4 << 10) // an error shows when the header is read
	first, _, _ := bytes.Cut(start, []byte("\n"))
	for _, d := range ";\t" {
		if bytes.ContainsRune(first, d) && !bytes.ContainsRune(first, ',') {
			return d
		}
	}
	return ','
}

// readHeader maps each column to a field, "" for one that is none of ours.
func readHeader(header []string) (columns, ignored []string, err error) {
	known := capture.JobFields()
	for _, cell := range header {
		name := strings.TrimSpace(cell)
		lower := strings.ToLower(name)
		switch {
		case slices.Contains(known, name) && slices.Contains(columns, name):
			return nil, nil, fmt.Errorf("the header names the column %s twice", name)
		case slices.Contains(known, name):
			columns = append(columns, name)
		case slices.Contains(known, lower):
			return nil, nil, fmt.Errorf("the header names a column %q; write it %s", name, lower)
		default:
			columns = append(columns, "")
			ignored = append(ignored, fmt.Sprintf("%.40q", name))
		}
	}
	for _, required := range known[:3] {
		if !slices.Contains(columns, required) {
			return nil, nil, fmt.Errorf("the header has no column %s; the first line must name the columns, such as trade_id,amount,currency", required)
		}
	}
	return columns, ignored, nil
}

func csvRow(line int, columns, record []string, dec *capture.Decoder) row {
	r := row{line: line}
	if len(record) != len(columns) {
		r.err = fmt.Errorf("it has %d cells, the header has %d", len(record), len(columns))
		return r
	}
	fields := make(map[string]string, len(columns))
	for i, name := range columns {
		if name == "" || record[i] == "" {
			continue
		}
		if !utf8.ValidString(record[i]) {
			r.err = fmt.Errorf("%s is not text in UTF-8", name)
			return r
		}
		fields[name] = record[i]
	}
	body, err := json.Marshal(fields)
	if err == nil {
		r.job, err = dec.Decode(nil, body)
	}
	if err == nil {
		r.body, err = json.Marshal(r.job)
	}
	r.err = err
	return r
}
