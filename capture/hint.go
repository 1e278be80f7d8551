package capture

import (
	"bytes"
	"slices"
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
		tradeID = d.hint(obj, fieldTradeID, maxTradeID)
		orderID = d.hint(obj, fieldOrderID, maxName)
		if tradeID != "" || orderID != "" {
			break
		}
	}
	return tradeID, orderID
}

// hint is the first text that a path of the field leads to.
func (d *Decoder) hint(obj []byte, field, limit int) string {
	doc := document{raw: obj}
	for _, s := range d.fields.fields[field].sources {
		raw := []byte(nil)
		if !isQuery(s.path) {
			raw = lookup(obj, s.path)
		} else {
			found := make([][]byte, d.fields.slots)
			at := slices.IndexFunc(d.fields.queries, func(q pathQuery) bool { return q.slot == s.slot })
			if doc.find(d.fields.queries[at:at+1], found) == nil {
				raw = found[s.slot]
			}
		}
		if text := hintText(raw, limit, field == fieldOrderID); text != "" {
			return text
		}
	}
	return ""
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
// many characters; clean reads it as Decode reads an order.
func hintText(raw []byte, limit int, clean bool) string {
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
	if clean {
		text = cleaned(text)
	}
	unprintable := func(r rune) bool { return !unicode.IsGraphic(r) || r == utf8.RuneError }
	if utf8.RuneCountInString(text) > limit || strings.ContainsFunc(text, unprintable) {
		return ""
	}
	return text
}
