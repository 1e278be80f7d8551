package export

import (
	"encoding/csv"
	"io"

	"github.com/capture-worker/capture-worker/internal/printable"
)

// csvWriter writes the rows to one file, and the totals to another, in which
// every line also says what the export is.
type csvWriter struct {
	columns []column
	rows    *csv.Writer
	totals  io.Writer // nil: not written
	cells   []string
}

func newCSV(rows, totals io.Writer, columns []column) (*csvWriter, error) {
	w := &csvWriter{columns: columns, rows: csv.NewWriter(rows), totals: totals, cells: make([]string, len(columns))}
	for i, c := range columns {
		w.cells[i] = c.name
	}
	return w, w.rows.Write(w.cells)
}

func (w *csvWriter) row(r *Row) error {
	for i, c := range w.columns {
		w.cells[i] = printable.Cell(c.value(r))
	}
	return w.rows.Write(w.cells)
}

func (w *csvWriter) finish(about About, totals []Total) error {
	w.rows.Flush()
	if err := w.rows.Error(); err != nil || w.totals == nil {
		return err
	}
	header, facts := totalColumns, make([]string, 0, 16)
	for _, fact := range about.facts() {
		header = append(header[:len(header):len(header)], fact[0])
		facts = append(facts, printable.Cell(fact[1]))
	}
	out := csv.NewWriter(w.totals)
	if err := out.Write(header); err != nil {
		return err
	}
	for _, t := range totals {
		if err := out.Write(append(t.cells(), facts...)); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
