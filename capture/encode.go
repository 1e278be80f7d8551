package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrEncode is what errors of Mapping.Encode wrap: the job cannot be written
// so that a decoder of this mapping reads it.
var ErrEncode = errors.New("the job cannot be written in the mapped shape")

// Encode writes a job as a message that a Decoder of this mapping reads as the
// same job: the fields at their paths, and of each entry of Match the first
// value. Where Match asks for CloudEvents attributes it is an event in binary
// mode with the given id, and header holds them; else header is empty. What is
// written was read back and compared. Errors wrap ErrEncode or ErrMapping.
//
// It is for a job that goes the way of the others again, not for telling the
// owner of the events anything: members that no path names are not there.
func (m Mapping) Encode(j Job, id string) (header map[string][]string, body []byte, err error) {
	dec, err := NewDecoder(m)
	if err != nil {
		return nil, nil, err
	}
	want, err := json.Marshal(j)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEncode, err)
	}
	object, err := m.object(want)
	if err == nil {
		body, err = json.Marshal(object)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEncode, err)
	}
	header = m.attributes(id)
	back, err := dec.Decode(header, body)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: read back: %w", ErrEncode, err)
	}
	got, err := json.Marshal(back)
	if err != nil || !bytes.Equal(got, want) {
		return nil, nil, fmt.Errorf("%w: read back it is another job", ErrEncode)
	}
	return header, body, nil
}

// object is the mapped shape of a job in our own.
func (m Mapping) object(own []byte) (map[string]any, error) {
	var fields map[string]string
	if err := json.Unmarshal(own, &fields); err != nil {
		return nil, err
	}
	object, set := map[string]any{}, map[string]bool{}
	for _, name := range fieldNames {
		path := name
		if mapped, ok := m.Fields[name]; ok {
			path = mapped
		}
		if value, there := fields[name]; there {
			if err := put(object, path, value); err != nil {
				return nil, err
			}
			set[path] = true
		}
	}
	for _, match := range m.Match {
		if strings.HasPrefix(match.Path, attributePrefix) || set[match.Path] {
			continue
		}
		if err := put(object, match.Path, match.Value); err != nil {
			return nil, err
		}
		set[match.Path] = true
	}
	return object, nil
}

// put sets the value at a path, and makes the objects on the way.
func put(object map[string]any, path, value string) error {
	names := strings.Split(path, ".")
	last := len(names) - 1
	for _, name := range names[:last] {
		next, there := object[name]
		if !there {
			next = map[string]any{}
			object[name] = next
		}
		inner, ok := next.(map[string]any)
		if !ok {
			return fmt.Errorf("the path %s goes through a text", quoted(path))
		}
		object = inner
	}
	if _, there := object[names[last]]; there {
		return fmt.Errorf("the path %s has two values", quoted(path))
	}
	object[names[last]] = value
	return nil
}

// attributes are the headers that Match asks for, none where it asks for none.
func (m Mapping) attributes(id string) map[string][]string {
	header := map[string][]string{}
	for _, match := range m.Match {
		if strings.HasPrefix(match.Path, attributePrefix) && header[match.Path] == nil {
			header[match.Path] = []string{match.Value}
		}
	}
	if len(header) == 0 {
		return nil
	}
	for name, value := range map[string]string{
		"ce-specversion": "1.0", "ce-id": id, "ce-source": "capture-worker",
		"ce-type": "capture.job", "content-type": "application/json",
	} {
		if header[name] == nil {
			header[name] = []string{value}
		}
	}
	return header
}
