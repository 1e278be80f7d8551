package export

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"

	"github.com/capture-worker/capture-worker/capture"
)

// sheetRows is what a sheet can hold.
const sheetRows = excelize.TotalRows

// xlsxWriter writes one workbook: a sheet about the export, one with the totals,
// and one or more with the rows of each outcome. Sheets are written to temporary
// files as the rows come.
type xlsxWriter struct {
	out     io.Writer
	file    *excelize.File
	columns []column
	most    int // rows of a sheet
	bold    int // style
	numbers map[int]int

	sheet   *excelize.StreamWriter
	outcome capture.Phase
	part    int // of the outcome's sheets
	used    int // rows of the present sheet
}

func newXLSX(out io.Writer, tmpDir string, columns []column) (*xlsxWriter, error) {
	w := &xlsxWriter{out: out, columns: columns, most: sheetRows, numbers: map[int]int{}}
	w.file = excelize.NewFile(excelize.Options{TmpDir: tmpDir})
	var err error
	if w.bold, err = w.file.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}}); err != nil {
		return nil, err
	}
	// They come first, and are written last.
	if err := w.file.SetSheetName("Sheet1", "About"); err != nil {
		return nil, err
	}
	_, err = w.file.NewSheet("Totals")
	return w, err
}

func (w *xlsxWriter) row(r *Row) error {
	if w.outcome != r.Phase {
		w.outcome, w.part, w.used = r.Phase, 0, w.most
	}
	if w.used >= w.most {
		if err := w.nextSheet(); err != nil {
			return err
		}
	}
	cells := make([]any, len(w.columns))
	for i, c := range w.columns {
		cells[i] = c.value(r)
		if c.number {
			cells[i] = w.number(c.value(r))
		}
	}
	return w.add(cells)
}

// nextSheet begins the next sheet of the outcome.
func (w *xlsxWriter) nextSheet() error {
	if err := w.flush(); err != nil {
		return err
	}
	w.part++
	name := strings.ToUpper(string(w.outcome[:1])) + string(w.outcome[1:])
	if w.part > 1 {
		name += " " + strconv.Itoa(w.part)
	}
	if _, err := w.file.NewSheet(name); err != nil {
		return err
	}
	names := make([]string, len(w.columns))
	for i, c := range w.columns {
		names[i] = c.name
	}
	return w.begin(name, names)
}

// begin starts a sheet with a header that stays in view.
func (w *xlsxWriter) begin(name string, header []string) (err error) {
	if w.sheet, err = w.file.NewStreamWriter(name); err != nil {
		return err
	}
	if err := w.sheet.SetColWidth(1, len(header), 18); err != nil {
		return err
	}
	if err := w.sheet.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}); err != nil {
		return err
	}
	cells := make([]any, len(header))
	for i, text := range header {
		cells[i] = excelize.Cell{StyleID: w.bold, Value: text}
	}
	w.used = 0
	return w.add(cells)
}

func (w *xlsxWriter) add(cells []any) error {
	w.used++
	return w.sheet.SetRow("A"+strconv.Itoa(w.used), cells)
}

func (w *xlsxWriter) flush() error {
	if w.sheet == nil {
		return nil
	}
	err := w.sheet.Flush()
	w.sheet = nil
	return err
}

// number is a cell that can be added up. A spreadsheet reads numbers as binary
// floating point, so one that would come out as another decimal stays a text.
func (w *xlsxWriter) number(text string) any {
	if text == "" {
		return nil
	}
	decimals := 0
	if _, fraction, ok := strings.Cut(text, "."); ok {
		decimals = len(fraction)
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || len(text) > 16 || strconv.FormatFloat(n, 'f', decimals, 64) != text {
		return text
	}
	style, known := w.numbers[decimals]
	if !known {
		format := "0"
		if decimals > 0 {
			format += "." + strings.Repeat("0", decimals)
		}
		if style, err = w.file.NewStyle(&excelize.Style{CustomNumFmt: &format}); err != nil {
			return text
		}
		w.numbers[decimals] = style
	}
	return excelize.Cell{StyleID: style, Value: n}
}

func (w *xlsxWriter) finish(about About, totals []Total) error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.begin("Totals", totalColumns); err != nil {
		return err
	}
	for _, t := range totals {
		cells := make([]any, 0, len(totalColumns))
		for _, text := range t.cells() {
			cells = append(cells, text)
		}
		cells[4], cells[5] = t.Trades, w.number(t.Amount)
		if err := w.add(cells); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.begin("About", []string{"what", "value"}); err != nil {
		return err
	}
	for _, fact := range about.facts() {
		if err := w.add([]any{fact[0], fact[1]}); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.file.Write(w.out); err != nil {
		return fmt.Errorf("writing the workbook: %w", err)
	}
	return nil
}

// close removes the temporary files.
func (w *xlsxWriter) close() error { return w.file.Close() }
