package capture

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cleaned returns text as one printable line: tabs and line breaks become spaces;
// invisible characters (soft hyphens, joiners, direction marks, control characters)
// and spaces at both ends are removed.
func cleaned(text string) string {
	if strings.IndexFunc(text, shapeless) < 0 {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	broken := false // a line break or tab was read, and its space is not written yet
	for _, c := range text {
		switch {
		case isBreak(c):
			broken = true
			continue
		case shapeless(c):
			continue
		case broken && c != ' ' && b.Len() > 0:
			b.WriteByte(' ')
		}
		broken = false
		b.WriteRune(c)
	}
	return strings.TrimSpace(b.String())
}

func shapeless(c rune) bool { return !unicode.IsGraphic(c) || c == unicode.ReplacementChar }

func isBreak(c rune) bool {
	return c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f' || c == '\u0085' || c == '\u2028' || c == '\u2029'
}

// shortened cuts text to a number of characters, including an ellipsis at the end.
func shortened(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	kept := []rune(text)[:limit-1]
	return strings.TrimSpace(string(kept)) + "…"
}
