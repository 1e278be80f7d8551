package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
)

// members are the members of a JSON object in their order, duplicates
// included: of several with one name the last counts. They are read by exact
// name; encoding/json's structs match names in any letter case, so that
// "STATE" would override "state". nil is no object, and has none.
type members struct {
	from []byte
	at   []span
	room [16]span // where at begins, enough for every answer known
}

// span is where a member stands in the text, its name with the quotes. Offsets
// take a third of what slices would; no text here is longer than maxAnswer.
type span struct {
	name, nameEnd, value, valueEnd uint32
	escaped                        bool // the name is not the bytes between its quotes
}

var errNotObject = errors.New("not a JSON object")

// readObject reads exactly one JSON object. PHP files saved with a byte order
// mark print it before every answer, so one is skipped.
func readObject(b []byte) (*members, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if !json.Valid(b) {
		return nil, errNotObject
	}
	if b = bytes.TrimLeft(b, " \t\r\n"); b[0] != '{' {
		return nil, errNotObject
	}
	return split(b), nil
}

// split takes a valid object apart.
func split(b []byte) *members {
	m := &members{from: b}
	m.at = m.room[:0]
	for name, value := range capture.Members(b) {
		// What Members yields lies in b: its place is how much less of b is
		// left behind it.
		n, v := cap(b)-cap(name), cap(b)-cap(value)
		m.at = append(m.at, span{
			name: uint32(n), nameEnd: uint32(n + len(name)),
			value: uint32(v), valueEnd: uint32(v + len(value)),
			escaped: bytes.IndexByte(name, '\\') >= 0,
		})
	}
	return m
}

// all yields the members, the escapes in their names resolved.
func (m *members) all() iter.Seq2[string, []byte] {
	return func(yield func(name string, value []byte) bool) {
		for _, s := range m.at {
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
	if m == nil {
		return nil
	}
	for i := len(m.at) - 1; i >= 0; i-- {
		s := m.at[i]
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

// object returns a member that is an object, nil where it is not.
func (m *members) object(name string) *members {
	if raw := m.get(name); len(raw) > 0 && raw[0] == '{' {
		return split(raw)
	}
	return nil
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
