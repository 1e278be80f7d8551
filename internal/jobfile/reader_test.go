package jobfile

import (
	"io"
	"strings"
	"testing"
)

// read reads all rows of text.
func read(t *testing.T, text, format string) ([]Row, error) {
	t.Helper()
	in, err := Read(strings.NewReader(text), Options{Format: format})
	if err != nil {
		return nil, err
	}
	var all []Row
	for r, err := range in {
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

const header = "trade_id,amount,currency,description\n"

func TestRowsThatAreTooLong(t *testing.T) {
	long := strings.Repeat("x", 3*maxRow)
	good := `{"trade_id":"t-1","amount":"1.00","currency":"EUR"}` + "\n"
	all, err := read(t, good+long+"\n"+good, FormatAuto)
	if err != nil || len(all) != 3 || all[0].Err != nil || all[1].Err == nil || all[2].Err != nil || all[2].Line != 3 {
		t.Errorf("a long line of JSON: %v, %d rows", err, len(all))
	}
	all, err = read(t, header+"t-1,1.00,EUR,\nt-2,1.00,EUR,\""+long, FormatAuto)
	if err == nil || !strings.Contains(err.Error(), "is a quote left open?") || len(all) != 1 {
		t.Errorf("an open quote: %v, %d rows", err, len(all))
	}
}

func TestRowsKeepTheirLines(t *testing.T) {
	all, err := read(t, header+"t-1,1.00,EUR,\"two\nlines\"\n\nt-2,1.00,EUR,ok\n", FormatCSV)
	if err != nil || len(all) != 2 || all[0].Line != 2 || all[1].Line != 5 {
		t.Fatalf("%v: %+v", err, all)
	}
	if all[0].Err != nil || all[0].Job.Description != "two lines" || all[1].Err != nil {
		t.Errorf("a description of two lines: %+v", all)
	}
}

func TestRowsInAnotherEncoding(t *testing.T) {
	all, err := read(t, header+"t-1,1.00,EUR,caf\xe9\n", FormatCSV)
	if err != nil || len(all) != 1 || all[0].Err == nil || !strings.Contains(all[0].Err.Error(), "UTF-8") {
		t.Errorf("%v: %+v", err, all)
	}
	all, err = read(t, "\uFEFF"+header+"t-1,1.00,EUR,café\n", FormatAuto)
	if err != nil || len(all) != 1 || all[0].Err != nil || all[0].Job.Description != "café" {
		t.Errorf("with a byte order mark: %v: %+v", err, all)
	}
}

func TestRowsWithoutNewlineAtTheEnd(t *testing.T) {
	for format, text := range map[string]string{
		FormatCSV:    header + "t-1,1.00,EUR,",
		FormatNDJSON: `{"trade_id":"t-1","amount":"1.00","currency":"EUR"}`,
	} {
		if all, err := read(t, text, format); err != nil || len(all) != 1 || all[0].Err != nil {
			t.Errorf("%s: %v: %+v", format, err, all)
		}
	}
}

// brokenReader fails after its text.
type brokenReader struct{ text io.Reader }

func (b brokenReader) Read(p []byte) (int, error) {
	n, err := b.text.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// TestReadErrorIsNotTheEnd checks that a read error in the middle of a file is an
// error.
func TestReadErrorIsNotTheEnd(t *testing.T) {
	for format, text := range map[string]string{
		FormatCSV:    header + "t-1,1.00,EUR,\n",
		FormatNDJSON: `{"trade_id":"t-1","amount":"1.00","currency":"EUR"}` + "\n",
	} {
		text += strings.Repeat(" ", maxRow) // or it is noticed before the first row
		in, err := Read(brokenReader{strings.NewReader(text)}, Options{Format: format})
		if err != nil {
			t.Fatal(err)
		}
		if err := pass(func() (Rows, error) { return in, nil }, func(Row) error { return nil }); err == nil {
			t.Errorf("%s: the broken file is taken for a whole one", format)
		}
	}
}
