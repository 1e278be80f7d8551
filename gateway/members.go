package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
)

// members are the members of a JSON object in their order, duplicates
// included: of several with one name the last counts. They are read by exact
// name; encoding/json's structs match names in any letter case, so that
// "STATE" would override "state". The zero value is no object, and has none.
//
// They are read into a value that the caller has; see reading.
type members struct {
	from  []byte
	count int
	room  [16]span // the first, enough for every answer known
	more  []span   // the others
}

// span is where a member stands in the text, its name with the quotes. Offsets
// take a third of what slices would; no text here is longer than maxAnswer.
type span struct {
	name, nameEnd, value, valueEnd uint32
	escaped                        bool // the name is not the bytes between its quotes
}

var errNotObject = errors.New("not a JSON object")

// reading is what an answer is taken apart in: its own members, those of its
// data, and those of the order in the data of a query. It is taken from readings
// and given back: on the stack of a job it is what makes that grow to twice its
// size.
type reading struct{ whole, data, order members }

var readings = sync.Pool{New: func() any { return new(reading) }}

// giveBack keeps nothing of the answer.
func (r *reading) giveBack() {
	for _, m := range []*members{&r.whole, &r.data, &r.order} {
		m.from, m.count, m.more = nil, 0, nil
	}
	readings.Put(r)
}

// read reads exactly one JSON object. PHP files saved with a byte order mark
// print it before every answer, so one is skipped.
func (m *members) read(b []byte) error {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if !json.Valid(b) {
		return errNotObject
	}
	if b = bytes.TrimLeft(b, " \t\r\n"); b[0] != '{' {
		return errNotObject
	}
	m.split(b)
	return nil
}

// split takes a valid object apart.
func (m *members) split(b []byte) {
	m.from, m.count, m.more = b, 0, nil
	for name, value := range capture.Members(b) {
		// What Members yields lies in b: its place is how much less of b is
		// left behind it.
		n, v := cap(b)-cap(name), cap(b)-cap(value)
		m.add(span{
			name: uint32(n), nameEnd: uint32(n + len(name)),
			value: uint32(v), valueEnd: uint32(v + len(value)),
			escaped: bytes.IndexByte(name, '\\') >= 0,
		})
	}
}

func (m *members) add(s span) {
	if m.count < len(m.room) {
		m.room[m.count] = s
	} else {
		m.more = append(m.more, s)
	}
	m.count++
}

func (m *members) at(i int) span {
	if i < len(m.room) {
		return m.room[i]
	}
	return m.more[i-len(m.room)]
}

// all yields the members, the escapes in their names resolved.
func (m *members) all() iter.Seq2[string, []byte] {
	return func(yield func(name string, value []byte) bool) {
		for i := range m.count {
			s := m.at(i)
			if !yield(string(unquote(m.from[s.name:s.nameEnd])), m.from[s.value:s.valueEnd]) {
				return
			}
		}
	}
}

// unquote is the text of a valid JSON string. It allocates only where the text
// is not the bytes between the quotes.
func unquote(raw []byte) []byte {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return inner
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return nil // cannot be: it is valid
	}
	return []byte(s)
}

// get returns a member's value, nil where there is none. The name is ASCII, so
// that a name without escapes either is these very bytes or another one.
func (m *members) get(name string) []byte {
	for i := m.count - 1; i >= 0; i-- {
		s := m.at(i)
		raw := m.from[s.name:s.nameEnd]
		if string(raw[1:len(raw)-1]) == name || s.escaped && string(unquote(raw)) == name {
			return m.from[s.value:s.valueEnd]
		}
	}
	return nil
}

// text returns a string, or a number as it is written, "" for all else.
func (m *members) text(name string) string {
	raw := m.get(name)
	if len(raw) == 0 {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		return string(unquote(raw))
	case c == '-' || c >= '0' && c <= '9':
		return string(raw)
	}
	return ""
}

// shown returns what text does, and any other value but null as it is written.
func (m *members) shown(name string) string {
	if text := m.text(name); text != "" {
		return text
	}
	if raw := m.get(name); len(raw) > 0 && raw[0] != 'n' && raw[0] != '"' {
		return string(raw)
	}
	return ""
}

// decisive are the members on which the meaning of an answer hangs.
var decisive = [...]string{"status", "code", "state", "amount", "currency", "trade_id", "data", "transaction_info"}

// twice names a decisive member that stands twice with different values, "" if
// none does. A string and a number of the same text are one value.
func (m *members) twice() string {
	var first [len(decisive)][]byte
	for i := range m.count {
		s := m.at(i)
		name := m.from[s.name+1 : s.nameEnd-1]
		if s.escaped {
			name = unquote(m.from[s.name:s.nameEnd])
		}
		at := slices.Index(decisive[:], string(name))
		if at < 0 {
			continue
		}
		value := m.from[s.value:s.valueEnd]
		if first[at] != nil && !bytes.Equal(meaning(first[at]), meaning(value)) {
			return decisive[at]
		}
		first[at] = value
	}
	return ""
}

// meaning is the text of a string without the spaces around it, or the value as
// it is written.
func meaning(raw []byte) []byte {
	if raw[0] != '"' {
		return raw
	}
	return bytes.TrimSpace(unquote(raw))
}

// object reads a member into inner. It returns false where that is no object.
func (m *members) object(name string, inner *members) bool {
	raw := m.get(name)
	if len(raw) == 0 || raw[0] != '{' {
		return false
	}
	inner.split(raw)
	return true
}

// flag is a truth value that may not have been said.
type flag int

const (
	unsaid flag = iota
	yes
	no
)

func (m *members) flag(name string) flag {
	switch strings.ToLower(strings.Trim(string(m.get(name)), `"`)) {
	case "true", "1":
		return yes
	case "false", "0":
		return no
	}
	return unsaid
}
