package capture

import (
	"bytes"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Hint returns the trade and the order that a message seems to be about, even if it
// is not a valid job; "" if the message has none that can be printed. It helps
// operators to find a message, whose publisher may have mistyped the name of the
// field. Decisions need Decode.
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

// HintAmount returns the amount that a message seems to ask for, the zero Amount if
// it says none that can be read, or an integer that may be in either unit. It is for
// operators, as Hint is.
func (d *Decoder) HintAmount(header map[string][]string, body []byte) Amount {
	for _, obj := range d.likely(header, body) {
		if a := d.hintAmount(obj); !a.IsZero() {
			return a
		}
	}
	return Amount{}
}

func (d *Decoder) hintAmount(obj []byte) Amount {
	code := strings.ToUpper(strings.TrimSpace(d.hint(obj, fieldCurrency, maxQuoted)))
	digits, err := currencyDigits(code)
	if err != nil {
		return Amount{}
	}
	unit := d.fields.fields[fieldAmount].unit
	for raw := range d.values(obj, fieldAmount) {
		text := strings.TrimSpace(hintText(raw, maxAmountText, false))
		switch integer := isNumber(raw) && !bytes.ContainsAny(raw, ".eE"); {
		case unit == UnitMinor:
			if text, err = fromMinor(text, digits); err != nil {
				continue
			}
		case integer && unit == "" && digits > 0:
			continue
		}
		if a, err := ReadAmount(text, code); err == nil {
			return a
		}
	}
	return Amount{}
}

// HintFields returns the JSON text of each field of JobFields in what seems to be
// the job of a message, "" of those that are not there. The texts are as they came;
// it is for operators, as Hint is.
func (d *Decoder) HintFields(header map[string][]string, body []byte) []string {
	found := make([]string, fieldCount)
	for _, obj := range d.likely(header, body) {
		some := false
		for field := range found {
			for raw := range d.values(obj, field) {
				found[field], some = string(raw), true
				break
			}
		}
		if some {
			break
		}
	}
	return found
}

// hint returns the first text that a path of the field leads to.
func (d *Decoder) hint(obj []byte, field, limit int) string {
	for raw := range d.values(obj, field) {
		if text := hintText(raw, limit, field == fieldOrderID); text != "" {
			return text
		}
	}
	return ""
}

// values iterates over what the paths of a field lead to, null aside, or over its
// constant.
func (d *Decoder) values(obj []byte, field int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		doc := document{raw: obj}
		f := &d.fields.fields[field]
		if f.constant != nil {
			yield(f.constant)
			return
		}
		for _, s := range f.sources {
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
			if !isNull(raw) && !yield(raw) {
				return
			}
		}
	}
}

// likely returns the objects in a message that may hold the job, the most likely
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

// lookup follows a path through a valid object, without regard to letter case. If
// several members have the name, the first counts.
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

// hintText returns the text of a string or number if it is one line of at most that
// many characters. With clean it is read as Decode reads an order_id.
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
