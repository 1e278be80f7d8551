package export_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/internal/export"
	"github.com/capture-worker/capture-worker/internal/npmtest"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/internal/records"
)

// reader runs programs that others wrote for the formats.
type reader struct{ dir string }

func newReader(t *testing.T) reader {
	t.Helper()
	from := filepath.Join("testdata", "readers")
	r := reader{npmtest.Install(t, from)}
	script, err := os.ReadFile(filepath.Join(from, "read.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "read.mjs"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r reader) read(t *testing.T, to any, args ...string) {
	t.Helper()
	node := exec.CommandContext(t.Context(), "node", append([]string{"read.mjs"}, args...)...)
	node.Dir = r.dir
	var problems strings.Builder
	node.Stderr = &problems
	out, err := node.Output()
	if err == nil {
		err = json.Unmarshal(out, to)
	}
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", args, err, problems.String(), out)
	}
}

func written(t *testing.T, store *records.Store, format export.Format) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "books."+string(format))
	if _, err := export.ToFiles(t.Context(), store, options(t, records.ByPaid), format, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// A program that shares nothing with the one that wrote it reads the workbook:
// the numbers in it are the decimals of the CSV file.
func TestAnotherLibraryReadsTheWorkbook(t *testing.T) {
	processtest.Long(t)
	r, store := newReader(t), filled(t, aMonth(t))
	header, want, totals := exportCSV(t, store, options(t, records.ByPaid))
	path := written(t, store, export.XLSX)
	var got []map[string]string
	for _, sheet := range []string{"Captured", "Failed", "Parked"} {
		var cells [][]any
		r.read(t, &cells, "xlsx", path, sheet)
		if names := texts(cells[0]); !slices.Equal(names, header) {
			t.Errorf("sheet %s has the columns %v", sheet, names)
		}
		for _, row := range cells[1:] {
			line := map[string]string{}
			for i, cell := range texts(row) {
				line[header[i]] = cell
			}
			got = append(got, line)
		}
	}
	for i, row := range want {
		row["order_id"] = strings.TrimPrefix(row["order_id"], "'") // a cell of text is no formula
		for name, value := range row {
			// A number has no zeros at its end; its format shows them.
			if shown := got[i][name]; shown != value && (shown == "" || strings.TrimRight(strings.TrimRight(value, "0"), ".") != shown) {
				t.Errorf("%s of row %d is %q, want %q", name, i, shown, value)
			}
		}
	}
	var sums, about [][]any
	r.read(t, &sums, "xlsx", path, "Totals")
	r.read(t, &about, "xlsx", path, "About")
	if len(sums) != len(totals)+1 || texts(sums[1])[5] != "123456789012382.66" || texts(about[4])[1] != "paid" {
		t.Errorf("totals %v\nabout %v", sums, about)
	}
	var first [][]any
	r.read(t, &first, "xlsx", path, "Captured")
	if _, isNumber := first[1][6].(map[string]any); !isNumber {
		t.Errorf("the amount 24.99 is no number: %v", first[1][6])
	}
	if text, isText := first[5][6].(string); !isText || text != "123456789012345.67" {
		t.Errorf("an amount that a spreadsheet cannot hold is %v", first[5][6])
	}
}

func texts(cells []any) []string {
	var list []string
	for _, cell := range cells {
		switch cell := cell.(type) {
		case string:
			list = append(list, cell)
		case map[string]any:
			list = append(list, cell["number"].(string))
		default:
			list = append(list, "")
		}
	}
	return list
}

// DuckDB reads the Parquet file: amounts are decimals, and add up.
func TestDuckDBReadsTheParquetFile(t *testing.T) {
	processtest.Long(t)
	r, store := newReader(t), filled(t, aMonth(t))
	header, want, _ := exportCSV(t, store, options(t, records.ByPaid))
	var got struct {
		Columns, Sums, About [][]string
		Rows                 [][]any
	}
	r.read(t, &got, "parquet", written(t, store, export.Parquet))
	types := map[string]string{}
	var names []string
	for _, column := range got.Columns {
		names, types[column[0]] = append(names, column[0]), column[1]
	}
	if !slices.Equal(names, header) {
		t.Errorf("columns %v", names)
	}
	for name, kind := range map[string]string{
		"amount": "DECIMAL(38,4)", "settlement_amount": "DECIMAL(38,4)", "day": "DATE", "at": "TIMESTAMP WITH TIME ZONE", "corrections": "BIGINT", "trade_id": "VARCHAR",
	} {
		if types[name] != kind {
			t.Errorf("%s is of type %s, want %s", name, types[name], kind)
		}
	}
	sums := [][]string{
		{"captured", "EUR", "123456789012382.6600", "3"}, {"captured", "JPY", "500.0000", "1"}, {"captured", "KWD", "1.2500", "1"},
		{"failed", "EUR", "10.0000", "1"}, {"parked", "EUR", "11.0000", "1"},
	}
	if !reflect.DeepEqual(got.Sums, sums) {
		t.Errorf("sums %v", got.Sums)
	}
	if len(got.Rows) != len(want) || !slices.ContainsFunc(got.About, func(fact []string) bool { return slices.Equal(fact, []string{"by", "paid"}) }) {
		t.Errorf("%d rows, about %v", len(got.Rows), got.About)
	}
	for i, row := range got.Rows {
		for j, cell := range row {
			text, isText := cell.(string)
			if value := want[i][names[j]]; isText && types[names[j]] == "VARCHAR" && text != strings.TrimPrefix(value, "'") || (cell == nil) != (value == "") {
				t.Errorf("%s of row %d is %v, want %q", names[j], i, cell, value)
			}
		}
		if row[1] != want[i]["day"] {
			t.Errorf("day of row %d is %v, want %s", i, row[1], want[i]["day"])
		}
	}
}
