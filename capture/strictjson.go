package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"
)

const (
	maxBody  = 256 << 10 // bytes of a message
	maxDepth = 64        // objects and arrays inside each other
)

// checkObject returns an error unless b is exactly one JSON object in UTF-8 within
// the limits. The functions below rely on that.
func checkObject(b []byte) error {
	if len(b) > maxBody {
		return malformed(MalformedTooLarge, "", fmt.Sprintf("the message has %d bytes, at most %d are read", len(b), maxBody))
	}
	if !utf8.Valid(b) {
		return malformed(MalformedNotJSON, "", "the message is not valid UTF-8")
	}
	if depth(b) > maxDepth {
		return malformed(MalformedTooLarge, "", fmt.Sprintf("objects and arrays are nested deeper than %d", maxDepth))
	}
	if !json.Valid(b) {
		return malformed(MalformedNotJSON, "", syntaxOf(b))
	}
	if b[skipSpace(b, 0)] != '{' {
		return malformed(MalformedNotObject, "", notOneObject(bytes.TrimSpace(b)))
	}
	return nil
}

func notOneObject(b []byte) string {
	if n := 0; b[0] == '[' {
		if n = countElements(b); n > 0 {
			return fmt.Sprintf("the message is an array of %d; a job is one capture: publish each as a message with one JSON object {…}", n)
		}
	}
	return fmt.Sprintf("the message is %s; a job is one JSON object {…}", kindOf(b))
}

// syntaxOf returns the syntax error of invalid JSON, with its position.
func syntaxOf(b []byte) string {
	if len(bytes.TrimSpace(b)) == 0 {
		return "the message is empty; a job is one JSON object {…}"
	}
	var raw json.RawMessage
	if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(b, &raw)); ok {
		return fmt.Sprintf("the message is not one JSON text: %s, at byte %d", syntax.Error(), syntax.Offset)
	}
	return "the message is not one JSON text"
}

// depth returns the nesting depth of brackets, without recursion. For invalid JSON
// the number has no meaning.
func depth(b []byte) int {
	deepest, now := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = skipString(b, i) - 1
		case '{', '[':
			now++
			deepest = max(deepest, now)
		case '}', ']':
			now--
		}
	}
	return deepest
}

// Members yields the members of a valid JSON object as they are written, the quotes
// of the name included, duplicates too, in order. On any other text it may panic.
// It is exported for package gateway.
func Members(obj []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := skipSpace(obj, skipSpace(obj, 0)+1) // past the brace
		for obj[i] == '"' {
			end := skipString(obj, i)
			name := obj[i:end]
			i = skipSpace(obj, skipSpace(obj, end)+1) // past the colon
			end = skipValue(obj, i)
			if !yield(name, obj[i:end]) {
				return
			}
			i = skipSpace(obj, end)
			if obj[i] == '}' {
				return
			}
			i = skipSpace(obj, i+1) // past the comma
		}
	}
}

// elements yields the elements of a valid JSON array as they are written.
func elements(list []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		i := skipSpace(list, skipSpace(list, 0)+1) // past the bracket
		for list[i] != ']' {
			end := skipValue(list, i)
			if !yield(list[i:end]) {
				return
			}
			if i = skipSpace(list, end); list[i] == ',' {
				i = skipSpace(list, i+1)
			}
		}
	}
}

func countElements(list []byte) int {
	n := 0
	for range elements(list) {
		n++
	}
	return n
}

func memberName(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	return []byte(unquote(raw))
}

// unquote reads a valid JSON string.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return string(utf8.RuneError) // impossible, because the text was checked; no valid text holds U+FFFD
	}
	return s
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index after the string that starts at i.
func skipString(b []byte, i int) int {
	for i++; i < len(b) && b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return min(i+1, len(b))
}

// skipValue returns the index after the value that starts at i.
func skipValue(b []byte, i int) int {
	if b[i] == '"' {
		return skipString(b, i)
	}
	if b[i] != '{' && b[i] != '[' {
		return i + bytes.IndexAny(b[i:], ",}] \t\r\n")
	}
	open := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = skipString(b, i) - 1
		case '{', '[':
			open++
		case '}', ']':
			if open--; open == 0 {
				return i + 1
			}
		}
	}
	return i
}

func isNull(raw []byte) bool { return len(raw) == 0 || raw[0] == 'n' }

func isNumber(raw []byte) bool { return raw[0] == '-' || (raw[0] >= '0' && raw[0] <= '9') }

// kindOf names the JSON type of a valid value.
func kindOf(raw []byte) string {
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// literal returns a string, number or boolean as text; ok is false for other
// values.
func literal(raw []byte) (text string, ok bool) {
	switch {
	case isNull(raw) || strings.IndexByte("{[", raw[0]) >= 0:
		return "", false
	case raw[0] == '"':
		return unquote(raw), true
	}
	return string(raw), true
}
