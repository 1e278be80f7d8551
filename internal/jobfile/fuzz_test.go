package jobfile

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
)

// FuzzRows checks that reading ends for every file, and that every row is either a
// job whose message decodes to the same job, or a printable reason. No line
// vanishes, and the rows add up.
func FuzzRows(f *testing.F) {
	for _, text := range []string{
		"", "\uFEFF" + header, header + "t-1,1.00,EUR,café\nt-2,1.00,JPY,\n", header + "t-1,1.00,EUR,\"two\nlines\"\n",
		"trade_id;amount;currency;paid by\nt-1;24.90;CHF;ada\n", "trade_id\tamount\tcurrency\nt-1\t1e3\tEUR\n",
		"amount,currency,trade_id,amount\n", "AMOUNT,currency,trade_id\n", header + "t-1,1.00\n" + header, header + "t-1,1.00,EUR,\"open",
		header + "t-1,\"1\"\"0\",EUR,\n=cmd(),1.00,EUR,\x1b[31m\n", header + "t.1,-1,eur,caf\xe9\n",
		`{"trade_id":"t-1","amount":"1.00","currency":"EUR"}` + "\n\n" + `{"trade_id":"t-1","amount":"2.00","currency":"EUR"}`,
		`{"trade_id":"t-1","amount":"1.00","currency":"EUR","AMOUNT":"9"}` + "\r\n{\n", "[{}]", "[{},{}\n,{}]", " \t{\"a\":\"\x1b\"}",
	} {
		for _, format := range []string{FormatAuto, FormatCSV, FormatNDJSON} {
			f.Add(text, format)
		}
	}
	dec, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, format string) {
		if !slices.Contains([]string{FormatAuto, FormatCSV, FormatNDJSON}, format) {
			return
		}
		in, err := Read(strings.NewReader(text), Options{Format: format, Note: func(note string) { assertPrintable(t, note) }})
		if err != nil {
			assertPrintable(t, err.Error())
			return
		}
		assertWhole(t, []byte(text), Options{Format: format})
		last, limit := 0, strings.Count(text, "\n")+strings.Count(text, "\r")+1
		for r, err := range in {
			if err != nil {
				assertPrintable(t, err.Error())
				return // an error is the end
			}
			if r.Line < last || r.Line == last && r.Item <= 1 || r.Line > limit {
				t.Fatalf("a row at %s follows one at line %d, of %d lines", r.Place(), last, limit)
			}
			last = r.Line
			assertRow(t, r, dec)
		}
	})
}

func assertRow(t *testing.T, r Row, dec *capture.Decoder) {
	t.Helper()
	if r.Err != nil {
		assertPrintable(t, Reason(r.Err))
		return
	}
	again, err := dec.Decode(nil, r.Body)
	if err != nil || again != r.Job {
		t.Fatalf("line %d: checked as %+v, published as %+v, %v", r.Line, r.Job, again, err)
	}
}

// assertPrintable checks that a reason, which may quote an untrusted file and is
// written to a terminal, is printable.
func assertPrintable(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) || len(s) > 2000 || strings.ContainsFunc(s, unicode.IsControl) {
		t.Fatalf("not fit for a terminal: %q", s)
	}
}
