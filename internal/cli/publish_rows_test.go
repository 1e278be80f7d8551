package cli

import (
	"io"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

// read reads all rows of text.
func read(t *testing.T, text, format string) ([]row, error) {
	t.Helper()
	dec, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	in, err := readRows(strings.NewReader(text), format, dec, func(string) {})
	if err != nil {
		return nil, err
	}
	var all []row
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
	all, err := read(t, good+long+"\n"+good, formatAuto)
	if err != nil || len(all) != 3 || all[0].err != nil || all[1].err == nil || all[2].err != nil || all[2].line != 3 {
		t.Errorf("a long line of JSON: %v, %d rows", err, len(all))
	}
	all, err = read(t, header+"t-1,1.00,EUR,\nt-2,1.00,EUR,\""+long, formatAuto)
	if err == nil || !strings.Contains(err.Error(), "is a quote left open?") || len(all) != 1 {
		t.Errorf("an open quote: %v, %d rows", err, len(all))
	}
}

func TestRowsKeepTheirLines(t *testing.T) {
	all, err := read(t, header+"t-1,1.00,EUR,\"two\nlines\"\n\nt-2,1.00,EUR,ok\n", formatCSV)
	if err != nil || len(all) != 2 || all[0].line != 2 || all[1].line != 5 {
		t.Fatalf("%v: %+v", err, all)
	}
	if all[0].err == nil || all[1].err != nil {
		t.Errorf("a description of two lines is taken: %+v", all)
	}
}

func TestRowsInAnotherEncoding(t *testing.T) {
	all, err := read(t, header+"t-1,1.00,EUR,caf\xe9\n", formatCSV)
	if err != nil || len(all) != 1 || all[0].err == nil || !strings.Contains(all[0].err.Error(), "UTF-8") {
		t.Errorf("%v: %+v", err, all)
	}
	all, err = read(t, "\uFEFF"+header+"t-1,1.00,EUR,café\n", formatAuto)
	if err != nil || len(all) != 1 || all[0].err != nil || all[0].job.Description != "café" {
		t.Errorf("with a byte order mark: %v: %+v", err, all)
	}
}

func TestRowsWithoutNewlineAtTheEnd(t *testing.T) {
	for format, text := range map[string]string{
		formatCSV:    header + "t-1,1.00,EUR,",
		formatNDJSON: `{"trade_id":"t-1","amount":"1.00","currency":"EUR"}`,
	} {
		if all, err := read(t, text, format); err != nil || len(all) != 1 || all[0].err != nil {
			t.Errorf("%s: %v: %+v", format, err, all)
		}
	}
}

// brokenReader fails after its text.
type brokenReader struct{ text io.Reader }

func (b brokenReader) Read(p []byte) (int, error) {
	n, err := b.text.Read(p)
	if err == io.EOF {
		err = errLost
	}
	return n, err
}

// TestReadErrorIsNotTheEnd: half a file is not a file.
func TestReadErrorIsNotTheEnd(t *testing.T) {
	dec, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	for format, text := range map[string]string{
		formatCSV:    header + "t-1,1.00,EUR,\n",
		formatNDJSON: `{"trade_id":"t-1","amount":"1.00","currency":"EUR"}` + "\n",
	} {
		in, err := readRows(brokenReader{strings.NewReader(text)}, format, dec, func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := checkRows(in, io.Discard); err == nil {
			t.Errorf("%s: the broken file is taken for a whole one", format)
		}
	}
}
