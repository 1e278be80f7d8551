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

// members are the members of a JSON object in order, including duplicates; the last of
// one name counts. Names match exactly, while encoding/json ignores letter case, so
// that "STATE" would override "state". The zero value has no members.
type members struct {
	from  []byte
	count int
	room  [16]span // the first; enough for every known answer
	more  []span   // the others
}

// span is the position of a member in the text; the name includes its quotes. Offsets
// take a third of the size of slices, and no text is longer than maxAnswer.
type span struct {
	name, nameEnd, value, valueEnd uint32
	escaped                        bool // the name is not the bytes between its quotes
}

var errNotObject = errors.New("not a JSON object")

// reading has the members of an answer, of its data, and of the order in the data of a
// query. It comes from a pool, because it would double the stack of a job.
type reading struct{ whole, data, order members }

var readings = sync.Pool{New: func() any { return new(reading) }}

// release clears the reading and returns it to the pool.
func (r *reading) release() {
	for _, m := range []*members{&r.whole, &r.data, &r.order} {
		m.from, m.count, m.more = nil, 0, nil
	}
	readings.Put(r)
}

// read reads exactly one JSON object. A leading byte order mark is skipped: PHP files
// saved with one print it before every answer.
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

// split finds the members of a valid object.
func (m *members) split(b []byte) {
	m.from, m.count, m.more = b, 0, nil
	for name, value := range capture.Members(b) {
		// name and value are slices of b: their offset is the difference of the
		// capacities.
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

// all yields the members, with unescaped names.
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

// unquote returns the text of a valid JSON string. It allocates only if the string has
// escapes or invalid UTF-8.
func unquote(raw []byte) []byte {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return inner
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return nil // not reached: it is valid
	}
	return []byte(s)
}

// get returns the value of a member, nil if there is none. name must be ASCII.
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

// text returns a string, or a number as it is written, and "" for other values.
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

// shown returns what text does, and other values except null as they are written.
func (m *members) shown(name string) string {
	if text := m.text(name); text != "" {
		return text
	}
	if raw := m.get(name); len(raw) > 0 && raw[0] != 'n' && raw[0] != '"' {
		return string(raw)
	}
	return ""
}

// decisive are the members that determine the meaning of an answer.
var decisive = [...]string{"status", "code", "state", "amount", "currency", "trade_id", "data", "transaction_info"}

// conflict returns the name of a decisive member that occurs twice with different
// values, "" if there is none. A string and a number with the same text are equal.
func (m *members) conflict() string {
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

// meaning returns the text of a string without surrounding spaces, or another value as
// it is written.
func meaning(raw []byte) []byte {
	if raw[0] != '"' {
		return raw
	}
	return bytes.TrimSpace(unquote(raw))
}

// object reads a member into inner. It returns false if the value is not an object.
func (m *members) object(name string, inner *members) bool {
	raw := m.get(name)
	if len(raw) == 0 || raw[0] != '{' {
		return false
	}
	inner.split(raw)
	return true
}

// flag is a boolean that may be missing.
type flag int

const (
	missing flag = iota
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
	return missing
}
