package jobfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

var update = flag.Bool("update", false, "rewrite what is expected of testdata/sheets")

// sheetOptions are how an operator reads the files that do not say all
// themselves.
var sheetOptions = map[string]Options{
	"excel-de-windows-1252.csv": {Comma: true, Encoding: "windows-1252"},
	"excel-mac-roman-cr.csv":    {Encoding: "macintosh"},
	"excel-unicode-text.txt":    {Comma: true},
	"excel-utf8-bom.csv":        {Comma: true},
	"excel-sep.csv":             {Encoding: "windows-1252"},
	"gbk.csv":                   {Encoding: "gbk"},
	"other-names-de.csv": {Comma: true, Columns: map[string]capture.Field{
		"trade_id": capture.At("Vorgang"), "amount": capture.At("Betrag"), "currency": capture.At("Währung", "Waehrung"),
	}},
	"decimal-mixed.csv": {Comma: true},
}

// TestSheets reads a spreadsheet of each dialect. The result stands
// beside it, in a file .want.
func TestSheets(t *testing.T) {
	names, err := filepath.Glob("testdata/sheets/*.[ct][sx][vt]")
	if err != nil || len(names) < 20 {
		t.Fatalf("%d sheets, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := render(text, sheetOptions[filepath.Base(name)])
			want := name + ".want"
			if *update {
				if err := os.WriteFile(want, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if expected, err := os.ReadFile(want); err != nil || got != string(expected) {
				t.Errorf("%v: run with -update to accept\ngot\n%s\nwant\n%s", err, got, expected)
			}
		})
	}
}

// render reads a file twice, row by row and as publish checks it.
func render(text []byte, o Options) string {
	var b strings.Builder
	o.Note = func(note string) { fmt.Fprintln(&b, note) }
	rows, err := Read(bytes.NewReader(text), o)
	if err != nil {
		return fmt.Sprintf("error: %v\n", err)
	}
	for r, err := range rows {
		if err != nil {
			fmt.Fprintf(&b, "error: %v\n", err)
			break
		}
		if r.Err == nil {
			fmt.Fprintf(&b, "%s: %s\n", r.Place(), r.Body)
		}
	}
	o.Note = nil
	found, err := NewTrades(false).CheckAll(func() (Rows, error) { return Read(bytes.NewReader(text), o) }, &b)
	fmt.Fprintf(&b, "%s\n", found)
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	return b.String()
}

// A file in any packing and arrangement holds the same jobs.
func TestJSONArrangements(t *testing.T) {
	const one, two = `{"trade_id":"j-1","amount":"1.00","currency":"EUR"}`, `{"trade_id":"j-2","amount":"2.00","currency":"EUR","x":["}",{"a":"[\""}]}`
	indented := func(text string) string {
		var b bytes.Buffer
		if err := json.Indent(&b, []byte(text), "", "  "); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"lines":                 one + "\n" + two + "\n",
		"lines of the old Mac":  one + "\r" + two,
		"an array on a line":    "[" + one + ", " + two + "]\n",
		"an array on lines":     "[\n" + one + ",\n" + two + "\n]",
		"a printed array":       indented("[" + one + "," + two + "]"),
		"printed objects":       indented(one) + "\n" + indented(two) + "\n",
		"printed, side by side": indented(one) + indented(two),
		"with a mark":           byteOrderMark + "\n [" + one + "," + two + "]",
	} {
		t.Run(name, func(t *testing.T) {
			all, err := read(t, text, FormatAuto)
			if err != nil || len(all) != 2 || all[0].Err != nil || all[1].Err != nil || all[1].Job.TradeID != "j-2" || string(all[1].Body) != two {
				t.Errorf("%v: %+v", err, all)
			}
		})
	}
	for text, says := range map[string]string{
		"[" + one + ", ":          "the file is incomplete",
		"[" + one + " " + two:     "the rest cannot be read",
		"[" + one + ",]":          "the rest cannot be read",
		"[" + one + "] " + two:    "after the end",
		indented(one)[:30]:        "the file is incomplete",
		"[" + one + ",{\"a\":\"x": "the file is incomplete",
	} {
		if all, err := read(t, text, FormatAuto); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, %d rows; want an error with %q", text, err, len(all), says)
		}
	}
	if all, err := read(t, "[]", FormatAuto); err != nil || len(all) != 0 {
		t.Errorf("an empty array: %v, %d rows", err, len(all))
	}
	all, err := read(t, `[`+one+`, 7, null, "x", [`+one+`], `+two+`]`, FormatAuto)
	if err != nil || len(all) != 6 || all[5].Err != nil {
		t.Fatalf("%v: %d rows", err, len(all))
	}
	for _, r := range all[1:5] {
		if bad, ok := errors.AsType[*capture.MalformedError](r.Err); !ok || bad.Reason != capture.MalformedNotObject {
			t.Errorf("%s: %v", r.Place(), r.Err)
		}
	}
}
