package jobfile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
)

// The fields that a table must have, by their index in capture.JobFields.
const (
	tradeID = iota
	amount
	currency
	orderID
)

var fieldNames = capture.JobFields()

// cells holds the values of a row, in the order of capture.JobFields.
type cells = [10]string

// columns holds the field of each column of a table, -1 for a column that is not
// read.
type columns struct {
	fields  []int
	ignored []string
	has     [len(cells{})]bool // a column or a constant
}

// delimiters holds the possible delimiters, the most likely first.
const delimiters = ",;\t|"

// table is the layout of a CSV file.
type table struct {
	comma   rune
	skipped int // lines before the header
}

// layout returns the layout that the start of a file shows: Excel writes and reads
// a first line sep=; and spreadsheets write semicolons in countries with a decimal
// comma. The delimiter with the most known columns counts.
func layout(buf *bufio.Reader, o Options) table {
	start, _ := buf.Peek(64 << 10) // reading the header reports the error
	first, _, _ := bytes.Cut(start, []byte("\n"))
	line := strings.ToLower(strings.Trim(strings.TrimSpace(string(first)), `"`))
	if sep, ok := strings.CutPrefix(line, "sep="); ok && utf8.RuneCountInString(sep) == 1 {
		_, _ = buf.Discard(min(len(first)+1, len(start))) // it is in the buffer, so this cannot fail, so this cannot fail
		r, _ := utf8.DecodeRuneInString(sep)
		return table{r, 1}
	}
	if line == "sep=" { // a tab was trimmed
		_, _ = buf.Discard(min(len(first)+1, len(start)))
		return table{'\t', 1}
	}
	t, most := table{comma: ','}, -1
	for _, d := range delimiters {
		in := csv.NewReader(bytes.NewReader(first))
		in.Comma, in.LazyQuotes = d, true
		header, err := in.Read()
		if err != nil {
			continue
		}
		known := 0
		for _, name := range header {
			if fieldOf(name, o.Columns) >= 0 {
				known++
			}
		}
		if known > most || known == most && most == 0 && len(header) > 1 && t.comma == ',' && !bytes.ContainsRune(first, ',') {
			t.comma, most = d, known
		}
	}
	return t
}

// readHeader reads the first line.
func readHeader(in *csv.Reader, o Options) (columns, error) {
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return columns{}, errors.New("the input is empty and has no header; is it the right file?")
	}
	if err != nil {
		return columns{}, fmt.Errorf("reading the header: %w", err)
	}
	return matchHeader(header, in.Comma, o)
}

// matchHeader finds the field of each column.
func matchHeader(header []string, comma rune, o Options) (columns, error) {
	var c columns
	from := map[int]string{}
	for _, cell := range header {
		name := strings.TrimSpace(cell)
		field := fieldOf(name, o.Columns)
		c.fields = append(c.fields, field)
		if field < 0 {
			if name != "" {
				c.ignored = append(c.ignored, fmt.Sprintf("%.40q", name))
			}
			continue
		}
		if c.has[field] {
			return c, fmt.Errorf("the header names the column %s twice: %.40q and %.40q", fieldNames[field], from[field], name)
		}
		c.has[field], from[field] = true, name
	}
	for i, name := range fieldNames {
		c.has[i] = c.has[i] || o.Columns[name].Value != ""
	}
	return c, c.missing(header, comma, o.Books)
}

// fieldOf returns the field of a column with that name, -1 if there is none. Letter
// case does not matter.
func fieldOf(header string, mapped map[string]capture.Field) int {
	header = strings.TrimSpace(header)
	for i, name := range fieldNames {
		names := []string{name}
		if f, ok := mapped[name]; ok {
			names = f.Paths
		}
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(strings.TrimSpace(n), header) }) {
			return i
		}
	}
	return -1
}

// missing returns an error that names the missing column and the present ones.
func (c columns) missing(header []string, comma rune, books bool) error {
	for _, field := range []int{tradeID, amount, currency} {
		switch {
		case c.has[field]:
			continue
		case books && field == tradeID && c.has[orderID]:
			continue
		case books && field != tradeID && !c.has[amount]:
			continue
		}
		return fmt.Errorf("the header has no column %s; the first line must name the columns, such as trade_id,amount,currency. It has %s. "+
			"Other names are read with --columns %s=NAME", fieldNames[field], found(header, comma), fieldNames[field])
	}
	return nil
}

// maxFound is the number of columns that an error lists.
const maxFound = 12

func found(header []string, comma rune) string {
	names, more := header, ""
	if len(names) > maxFound {
		names, more = names[:maxFound], fmt.Sprintf(" and %d more", len(header)-maxFound)
	}
	list := make([]string, 0, len(names))
	for _, name := range names {
		if !utf8.ValidString(name) {
			more += "; the names are not UTF-8: name the encoding with --encoding, such as windows-1252"
			name = strings.ToValidUTF8(name, "?")
		}
		list = append(list, fmt.Sprintf("%.40q", name))
	}
	return fmt.Sprintf("%s%s (with %q between)", strings.Join(list, ", "), more, comma)
}
