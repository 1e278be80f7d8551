package printable_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/capture-worker/capture-worker/internal/printable"
)

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"order A-1001, café, 24,99 €": "order A-1001, café, 24,99 €",
		"":                            "",
		"a\x1b[31mb":                  `a\u001b[31mb`,
		"a\tb\r\nc":                   `a\u0009b\u000d\u000ac`,
		"a\x7fb\u009bc":               `a\u007fb\u009bc`,
		"EUR \u202e99.42":             `EUR \u202e99.42`,
		"\u2066\u200f\ufeff\u2028":    `\u2066\u200f\ufeff\u2028`,
		"\xff\xc3":                    `\ufffd\ufffd`,
		"\U000e0041":                  `\udb40\udc41`,
	} {
		if got := printable.Line(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestBlockMarksEachLine(t *testing.T) {
	got := printable.Block([]byte("{\r\n\t\"a\": 1\ndone     dismissed by ann\r}"), "| ")
	if want := "| {\\u000d\n| \t\"a\": 1\n| done     dismissed by ann\\u000d}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := printable.Block(nil, "| "); got != "" {
		t.Errorf("nothing is %q", got)
	}
}

func TestCellIsNoFormula(t *testing.T) {
	for _, text := range []string{
		"=1+1", "+1", "-1", "@SUM(A1)", " =1+1", "   \u00a0=1", "\t=1", "\r=1", "\n=1", "\tplain",
		"＝1+1", "＋1", "－1", "＠SUM", " ＝1", "\u200b=1", "\ufeff=1", "\x00=1", "\u202e=1", "﹦1", "\u3000=1",
	} {
		got := printable.Cell(text)
		if !strings.HasPrefix(got, "'") {
			t.Errorf("%q becomes the cell %q", text, got)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			t.Errorf("the cell %q cannot be printed", got)
		}
	}
	for _, text := range []string{"", "A-1001", "24.99", "160899f3-f6d9", "a=b", "é", "  A", "'=1"} {
		if got := printable.Cell(text); got != text {
			t.Errorf("%q becomes the cell %q", text, got)
		}
	}
}

// However a text is cut into writes, it comes out as if it were one, and JSON means
// what it meant before.
func TestWriterKeepsWhatCanBePrinted(t *testing.T) {
	text, err := json.Marshal(map[string]string{"note": "café € \x1b]0;x\a \u202e\u009b\U0001f600 \U000e0041 \x7f"})
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "\n\tplain\n"...)
	var whole string
	for step := 1; step <= len(text); step++ {
		var out bytes.Buffer
		w := printable.NewWriter(&out)
		for rest := text; len(rest) > 0; {
			n := min(step, len(rest))
			if written, err := w.Write(rest[:n]); err != nil || written != n {
				t.Fatalf("%d of %d bytes are written, %v", written, n, err)
			}
			rest = rest[n:]
		}
		if step == 1 {
			whole = out.String()
		}
		if out.String() != whole {
			t.Fatalf("in steps of %d: %q, want %q", step, out.String(), whole)
		}
	}
	if strings.ContainsFunc(whole, func(r rune) bool { return !unicode.IsGraphic(r) && r != '\n' && r != '\t' }) {
		t.Errorf("%q cannot be printed", whole)
	}
	var before, after map[string]string
	first, _, _ := strings.Cut(whole, "\n")
	if json.Unmarshal(bytes.TrimSuffix(text, []byte("\n\tplain\n")), &before) != nil || json.Unmarshal([]byte(first), &after) != nil || before["note"] != after["note"] {
		t.Errorf("%q is %q now", before["note"], after["note"])
	}
	if !strings.HasSuffix(whole, "\n\tplain\n") || !strings.Contains(whole, "café € ") {
		t.Errorf("what can be printed was changed: %q", whole)
	}
}

func TestUnwrap(t *testing.T) {
	var out bytes.Buffer
	if printable.Unwrap(printable.NewWriter(&out)) != &out || printable.Unwrap(&out) != &out {
		t.Error("the writer behind is another")
	}
}
