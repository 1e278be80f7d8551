package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// object is a JSON object with ordered members.
type object []member

type member struct {
	name  string
	value any
}

// obj returns an object from alternating names and values. It panics on other lists.
func obj(pairs ...any) object {
	o := make(object, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		o = append(o, member{pairs[i].(string), pairs[i+1]})
	}
	return o
}

// with returns the object with members appended.
func (o object) with(pairs ...any) object {
	return append(o[:len(o):len(o)], obj(pairs...)...)
}

// without returns the object without the named member.
func (o object) without(name string) object {
	var rest object
	for _, m := range o {
		if m.name != name {
			rest = append(rest, m)
		}
	}
	return rest
}

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := encode(m.name, "")
		if err != nil {
			return nil, err
		}
		value, err := encode(m.value, "")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode returns JSON in ASCII, so that invisible characters in patterns can be seen.
func encode(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	var ascii bytes.Buffer
	for _, r := range b.String() {
		if r < 0x7f {
			ascii.WriteRune(r)
		} else {
			fmt.Fprintf(&ascii, `\u%04x`, r)
		}
	}
	return ascii.Bytes(), nil
}

// publish returns the text of a schema file.
func publish(o object) ([]byte, error) {
	b, err := encode(o, "  ")
	if err != nil {
		return nil, fmt.Errorf("writing a schema: %w", err)
	}
	return b, nil
}
