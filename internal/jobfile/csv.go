package jobfile

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
)

// csvTable reads the rows of one CSV file.
type csvTable struct {
	o       Options
	in      *csv.Reader
	columns columns
	skipped int // lines before the header
	dec     *capture.Decoder
	totals  totals
	cells   cells
}

// csvRows reads CSV with a header that names the fields of a job. An empty cell is
// an absent field.
func csvRows(buf *bufio.Reader, bounded *rowLimit, o Options) (Rows, error) {
	t := &csvTable{o: o}
	layout := layout(buf, o)
	t.skipped = layout.skipped
	t.in = csv.NewReader(buf)
	t.in.Comma = layout.comma
	t.in.FieldsPerRecord = -1 // a row of another length is a bad row and does not end the file
	t.in.ReuseRecord = true
	var err error
	if t.columns, err = readHeader(t.in, o); err != nil {
		return nil, err
	}
	if t.dec, err = capture.NewDecoder(cellMapping(o)); err != nil {
		return nil, err
	}
	if len(t.columns.ignored) > 0 {
		o.Note("ignored columns: " + shortList(t.columns.ignored))
	}
	return func(yield func(Row, error) bool) {
		for {
			bounded.reset()
			record, err := t.in.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Row{}, fmt.Errorf("the rest of the CSV cannot be read: %w", err))
				return
			}
			if !yield(t.row(record), nil) {
				return
			}
		}
	}, nil
}

func shortList(names []string) string {
	if len(names) > maxFound {
		return strings.Join(names[:maxFound], ", ") + fmt.Sprintf(" and %d more", len(names)-maxFound)
	}
	return strings.Join(names, ", ")
}

// cellMapping returns the mapping for cells, with the units and constants of the
// columns.
func cellMapping(o Options) capture.Mapping {
	m := o.Mapping
	m.Match = nil
	m.Fields = map[string]capture.Field{}
	for _, name := range fieldNames {
		f, mapped := o.Columns[name]
		if f.Value == "" || !mapped {
			f.Value, f.Paths = "", []string{name}
		}
		m.Fields[name] = f
	}
	return m
}

func (t *csvTable) row(record []string) Row {
	line, _ := t.in.FieldPos(0)
	r := Row{Line: line + t.skipped, Lines: 1, Table: true}
	for _, cell := range record {
		r.Lines += strings.Count(cell, "\n")
	}
	empty, err := t.fill(record)
	switch {
	case empty:
		r.Err = errEmptyRow
	case err != nil:
		r.Err = err
	default:
		r.Job, r.Err = t.decode()
		r.Err = t.totals.look(r, &t.cells)
	}
	if r.Err != nil {
		return r
	}
	r.Job.Cleaned = "" // the text of the message is already printable
	if t.o.Encode != nil {
		r.Header, r.Body, r.Err = t.o.Encode(r.Job)
	} else {
		r.Body, r.Err = json.Marshal(r.Job)
	}
	return r
}

// fill sets the cells from a record.
func (t *csvTable) fill(record []string) (empty bool, err error) {
	t.cells, empty = cells{}, true
	for i, cell := range record {
		cell = strings.TrimSpace(cell)
		if cell == "" {
			continue
		}
		empty = false
		if err == nil {
			err = t.put(i, cell)
		}
	}
	if !empty && err == nil && len(record) < len(t.columns.fields) {
		err = t.length(record)
	}
	return empty, err
}

func (t *csvTable) length(record []string) error {
	return fmt.Errorf("it has %d cells, the header has %d", len(record), len(t.columns.fields))
}

// put sets one cell.
func (t *csvTable) put(column int, cell string) error {
	if column >= len(t.columns.fields) {
		return fmt.Errorf("it has more cells than the header, which has %d", len(t.columns.fields))
	}
	if line, rest, more := strings.Cut(cell, "\n"); more {
		if err := t.swallowed(rest); err != nil {
			return fmt.Errorf("the cell that begins with %.20q %w", line, err)
		}
	}
	field := t.columns.fields[column]
	if field < 0 {
		return nil
	}
	name := fieldNames[field]
	if !utf8.ValidString(cell) {
		return fmt.Errorf("%s is not text in UTF-8; name the encoding with --encoding, which is windows-1252 for most files that Excel saved as plain CSV", name)
	}
	if name == "amount" || name == "authorized_amount" {
		var err error
		if cell, err = t.decimal(cell); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	t.cells[field] = cell
	return nil
}

// swallowed refuses a cell of several lines if one of them looks like a row: after
// an open quote, the following rows are read as part of the cell up to the next
// quote.
func (t *csvTable) swallowed(lines string) error {
	need := len(t.columns.fields) - 1
	if need == 0 {
		return nil
	}
	for line := range strings.SplitSeq(lines, "\n") {
		if strings.Count(line, string(t.in.Comma)) >= need {
			return fmt.Errorf("has %d lines, and one of them looks like a separate row; is a quote left open?", strings.Count(lines, "\n")+2)
		}
	}
	return nil
}

// decimal returns a number that has the declared decimal sign with a decimal point.
func (t *csvTable) decimal(cell string) (string, error) {
	comma, point := strings.Count(cell, ","), strings.Count(cell, ".")
	switch {
	case !t.o.Comma && comma > 0:
		return "", fmt.Errorf("%.24q has a comma; if that is the decimal sign, say so with --decimal comma; signs between thousands are not read", cell)
	case !t.o.Comma || comma == 0 && point == 0:
		return cell, nil
	case comma == 1 && point == 0:
		return strings.Replace(cell, ",", ".", 1), nil
	case comma == 1 && grouped(cell):
		return strings.Replace(strings.ReplaceAll(cell, ".", ""), ",", ".", 1), nil
	}
	return "", fmt.Errorf("%.24q is not a number with a decimal comma, like 24,99 or 1.024,99", cell)
}

// grouped reports whether the points in a number separate groups of three digits
// before the decimal comma.
func grouped(cell string) bool {
	whole, frac, _ := strings.Cut(cell, ",")
	groups := strings.Split(whole, ".")
	for i, g := range groups {
		if strings.Trim(g, "0123456789") != "" || len(g) > 3 || len(g) == 0 || i > 0 && len(g) != 3 {
			return false
		}
	}
	return frac != "" && !strings.Contains(frac, ".")
}

// decode returns the job in the cells.
func (t *csvTable) decode() (capture.Job, error) {
	if !t.o.Books {
		return t.dec.DecodeCells(&t.cells)
	}
	if t.cells[tradeID] == "" && t.cells[orderID] == "" {
		return capture.Job{}, errors.New("it names neither a trade nor an order")
	}
	if t.cells[tradeID] != "" && t.columns.has[amount] {
		return t.dec.DecodeCells(&t.cells)
	}
	return t.decodeBook()
}

// decodeBook reads a line of books without a trade or an amount: it decodes the
// line with placeholders and removes them again.
func (t *csvTable) decodeBook() (capture.Job, error) {
	given := t.cells
	defer func() { t.cells = given }()
	if given[tradeID] == "" {
		t.cells[tradeID] = "order"
	}
	if !t.columns.has[amount] {
		t.cells[amount], t.cells[currency] = "1", "EUR"
	}
	job, err := t.dec.DecodeCells(&t.cells)
	if given[tradeID] == "" {
		job.TradeID = ""
	}
	if !t.columns.has[amount] {
		job.Amount = capture.Amount{}
	}
	return job, err
}
