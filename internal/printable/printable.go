// Package printable escapes text of untrusted clients for terminals, logs and
// spreadsheets: subjects, headers and bodies of messages, and what operators or
// other programs wrote into events.
//
// Everything that has no shape of its own is written as a JSON escape, \u001b for
// example: control characters, line separators, marks of direction, invisible
// characters and bytes that are not UTF-8. The notation is the same for text and
// for JSON, where it means the same character.
package printable

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line returns s as one line: everything that cannot be printed is escaped, tabs
// and line ends included.
func Line(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	return string(escape(nil, []byte(s), ""))
}

// Row returns a row of a table, its cells separated by tabs for a tabwriter. What a
// cell holds cannot begin another cell or line.
func Row(cells ...any) string {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = Line(fmt.Sprint(cell))
	}
	return strings.Join(texts, "\t") + "\n"
}

// Block returns text of several lines, each begun with a prefix so that none can be
// taken for a line of ours. Tabs are kept; everything else that cannot be printed
// is escaped, a carriage return included.
func Block(text []byte, prefix string) string {
	var b []byte
	for line := range strings.Lines(string(text)) {
		b = append(b, prefix...)
		b = escape(b, []byte(strings.TrimSuffix(line, "\n")), "\t")
		b = append(b, '\n')
	}
	return string(b)
}

// Cell returns s as a cell of a spreadsheet: one line, with an apostrophe before a
// text that a spreadsheet would treat as a formula.
func Cell(s string) string {
	if formula(s) {
		s = "'" + s
	}
	return Line(s)
}

// formula reports whether a spreadsheet may treat the text as a formula: the
// first character that is neither a space nor invisible begins one, also in its
// full-width or small form, or is a tab or a line end.
func formula(s string) bool {
	for _, r := range s {
		switch {
		case r == '\t', r == '\r', r == '\n':
			return true
		case unicode.IsSpace(r), unprintable(r):
			continue
		}
		return strings.ContainsRune("=+-@＝＋－＠﹦﹢﹣﹫−⁺⁻⁼₊₋₌", r)
	}
	return false
}

func unprintable(r rune) bool { return !unicode.IsGraphic(r) || r == utf8.RuneError }

// escape appends text to b, with an escape for everything that cannot be printed
// and is not in keep.
func escape(b, text []byte, keep string) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case !unprintable(r), strings.ContainsRune(keep, r):
			b = append(b, text[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
		text = text[size:]
	}
	return b
}

// Writer escapes everything written to it that cannot be printed, but for tabs and
// line ends: it is what a command writes to a terminal, a pipe or a file. JSON stays
// the same JSON. It is safe for concurrent use.
type Writer struct {
	out io.Writer
	mu  sync.Mutex
	cut []byte // the start of a character of which the rest has not come yet
}

// NewWriter returns a Writer to out.
func NewWriter(out io.Writer) *Writer { return &Writer{out: out} }

// Unwrap returns the writer behind a Writer, and any other writer itself.
func Unwrap(w io.Writer) io.Writer {
	if p, ok := w.(*Writer); ok {
		return p.out
	}
	return w
}

// Write implements io.Writer. A character that is cut off at the end of p waits for
// its rest.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := p
	if len(w.cut) > 0 {
		text = append(w.cut, p...)
		w.cut = nil
	}
	if n := incomplete(text); n > 0 {
		w.cut = append([]byte(nil), text[len(text)-n:]...)
		text = text[:len(text)-n]
	}
	if needsEscape(text) {
		text = escape(make([]byte, 0, len(text)+16), text, "\n\t")
	}
	if _, err := w.out.Write(text); err != nil {
		return 0, err
	}
	return len(p), nil
}

func needsEscape(text []byte) bool {
	for _, c := range text {
		if c < ' ' && c != '\n' && c != '\t' || c >= 0x7f {
			return true
		}
	}
	return false
}

// incomplete returns how many bytes at the end begin a character and are not all of
// it.
func incomplete(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if c := text[len(text)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(text[len(text)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}
