package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/capture-worker/capture-worker/capture"
)

// members are the members of a JSON object in their order, duplicates
// included: of several with one name the last counts. They are read by exact
// name; encoding/json's structs match names in any letter case, so that
// "STATE" would override "state". They share the text's bytes.
type members []member

type member struct {
	name  []byte // escapes resolved
	value []byte // valid JSON
}

var errNotObject = errors.New("not a JSON object")

// readObject reads exactly one JSON object. PHP files saved with a byte order
// mark print it before every answer, so one is skipped.
func readObject(b []byte) (members, error) {
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
func split(b []byte) members {
	m := make(members, 0, 16)
	for name, value := range capture.Members(b) {
		m = append(m, member{unquote(name), value})
	}
	return m
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

// get returns a member's value, nil where there is none.
func (m members) get(name string) []byte {
	for i := len(m) - 1; i >= 0; i-- {
		if string(m[i].name) == name {
			return m[i].value
		}
	}
	return nil
}

// text returns a string, or a number as it is written, "" for all else.
func (m members) text(name string) string {
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
func (m members) object(name string) members {
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

func (m members) flag(name string) flag {
	switch strings.ToLower(strings.Trim(string(m.get(name)), `"`)) {
	case "true", "1":
		return yes
	case "false", "0":
		return no
	}
	return unsaid
}
