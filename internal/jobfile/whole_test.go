package jobfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// assertWhole checks that repeated reads of a file give exactly the jobs to send
// and the named refusals. It returns the rows that were read.
func assertWhole(t *testing.T, text []byte, o Options) int {
	t.Helper()
	o.Note = nil
	begin := func() (Rows, error) { return Read(bytes.NewReader(text), o) }
	if _, err := begin(); err != nil {
		return 0 // the whole file is refused, with words
	}
	known := NewTrades(false)
	found, err := known.CheckAll(begin, io.Discard)
	if found.Read != found.Good+found.Bad+found.Skipped {
		t.Fatalf("%s do not add up", found)
	}
	named := 0
	for _, kind := range found.faults.order {
		named += kind.rows
	}
	if err != nil {
		return found.Read // the place from which it cannot be read on is named
	}
	sent, empty := 0, 0
	all, err := begin()
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range known.Mark(all) {
		switch {
		case err != nil:
			t.Fatalf("the second time it cannot be read: %v", err)
		case r.Err == nil:
			sent++
		case errors.Is(r.Err, errEmptyRow):
			empty++
		}
	}
	if sent != found.Good || named != found.Bad+found.Skipped-empty {
		t.Fatalf("%s, but %d would be sent, %d are named and %d are empty", found, sent, named, empty)
	}
	assertEveryLine(t, text, o)
	return found.Read
}

// assertEveryLine checks that each non-empty line of a text file is part of a row,
// except the header of a table and the delimiters between elements of an array.
func assertEveryLine(t *testing.T, text []byte, o Options) {
	t.Helper()
	if !utf8.Valid(text) || bytes.ContainsRune(text, 0) || o.Encoding != "" {
		return // lines are counted as text here
	}
	all, err := Read(bytes.NewReader(text), o)
	if err != nil {
		return
	}
	part, first := map[int]bool{}, 0
	for r, err := range all {
		if err != nil {
			return
		}
		if first == 0 {
			first = r.Line
		}
		for line := range max(r.Lines, 1) {
			part[r.Line+line] = true
		}
	}
	plain := strings.NewReplacer("\r\n", "\n", "\r", "\n", byteOrderMark, "").Replace(string(text))
	array := strings.HasPrefix(strings.TrimLeft(plain, " \t\n"), "[")
	for i, line := range strings.Split(plain, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || part[i+1] || i+1 < first || array && strings.Trim(line, "[], \t") == "" {
			continue
		}
		if first == 0 && !array && o.Format != FormatNDJSON {
			return // a header alone
		}
		t.Fatalf("line %d, %q, is part of no row", i+1, line)
	}
}

// TestEveryCorpusIsReadWhole checks that no part of a file is lost.
func TestEveryCorpusIsReadWhole(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/sheets/*.[ct][sx][vt]")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rows += assertWhole(t, text, sheetOptions[filepath.Base(file)])
	}
	for name, p := range platforms {
		event, m := platformEvent(t, p.file), mappingOnPage(t, name)
		for _, text := range [][]byte{event, bytes.Repeat(event, 3), []byte("[" + string(event) + ",\n" + string(event) + "]")} {
			rows += assertWhole(t, text, Options{Format: FormatNDJSON, Mapping: m})
		}
	}
	if rows < 50 {
		t.Errorf("only %d rows were read", rows)
	}
}
