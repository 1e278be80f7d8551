package capture

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Hint returns the trade and the order that a message seems to be about, though
// it may be no job at all: "" where it says none that could be printed. It is
// for operators who look for a message, whose publisher may have mistyped the very field.
// Nothing may be decided by it; that is what Decode is for.
func (d *Decoder) Hint(header map[string][]string, body []byte) (tradeID, orderID string) {
	for _, obj := range d.likely(header, body) {
		tradeID = hintText(lookup(obj, d.paths[fieldTradeID]), maxTradeID)
		orderID = hintText(lookup(obj, d.paths[fieldOrderID]), maxOrderID)
		if tradeID != "" || orderID != "" {
			break
		}
	}
	return tradeID, orderID
}

// likely lists the objects in a message that may hold the job, the likeliest
// first.
func (d *Decoder) likely(header map[string][]string, body []byte) [][]byte {
	if obj, err := d.unwrap(header, body); err == nil && len(obj) > 0 {
		return [][]byte{obj}
	}
	if checkObject(body) != nil {
		return nil
	}
	if data := lookup(body, ceNames[ceData]); len(data) > 0 && data[0] == '{' {
		return [][]byte{data, body}
	}
	return [][]byte{body}
}

// lookup follows a path through a valid object, without regard to letter case.
// Of members with one name it takes the first.
func lookup(obj []byte, path string) []byte {
	name, rest, deeper := strings.Cut(path, ".")
	for quoted, value := range Members(obj) {
		switch {
		case !bytes.EqualFold(memberName(quoted), []byte(name)):
		case !deeper:
			return value
		case value[0] == '{':
			return lookup(value, rest)
		}
	}
	return nil
}

// hintText is the text of a string or number, if it is one line of at most so
// many characters.
func hintText(raw []byte, limit int) string {
	if isNull(raw) {
		return ""
	}
	text := ""
	switch {
	case raw[0] == '"':
		text = unquote(raw)
	case isNumber(raw):
		text = string(raw)
	}
	unprintable := func(r rune) bool { return !unicode.IsGraphic(r) || r == utf8.RuneError }
	if utf8.RuneCountInString(text) > limit || strings.ContainsFunc(text, unprintable) {
		return ""
	}
	return text
}
