package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrEncode is wrapped by errors of Mapping.Encode: the job cannot be written so
// that a decoder of this mapping reads it.
var ErrEncode = errors.New("the job cannot be written in the mapped shape")

// Encoder writes jobs as messages that a Decoder of the same mapping reads. It is
// safe for concurrent use.
type Encoder struct {
	mapping Mapping
	dec     *Decoder
}

// NewEncoder returns an encoder for messages of the shape that m describes.
// Errors wrap ErrMapping.
func NewEncoder(m Mapping) (*Encoder, error) {
	dec, err := NewDecoder(m)
	if err != nil {
		return nil, err
	}
	return &Encoder{m, dec}, nil
}

// Encode is the method of an Encoder for this mapping. Errors wrap ErrEncode or
// ErrMapping.
func (m Mapping) Encode(j Job, id string) (header map[string][]string, body []byte, err error) {
	e, err := NewEncoder(m)
	if err != nil {
		return nil, nil, err
	}
	return e.Encode(j, id)
}

// Encode writes a job as a message that a Decoder of the mapping reads as the same
// job: the fields at their paths, and of each entry of Match the first value. If
// Match has conditions on CloudEvents attributes, the message is an event in binary
// mode with the given id, and header holds the attributes; else header is empty.
// Encode reads the message back and compares. Errors wrap ErrEncode.
//
// Of several paths of a field the first that leads to one place is written; a
// JSONPath with a filter or a wildcard leads to many. An order_id, description,
// notify_url or capture_id that the mapping does not read is left out; a time or an
// authorized amount that it does not read is an error, because they decide about
// money. Encode is for publishing jobs to workers, not for other consumers of the
// events: members that no path names are missing.
func (e *Encoder) Encode(j Job, id string) (header map[string][]string, body []byte, err error) {
	j.Cleaned = ""
	object, err := e.dec.object(e.mapping, j)
	if err == nil {
		body, err = json.Marshal(object)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEncode, err)
	}
	header = e.mapping.attributes(id)
	back, err := e.dec.Decode(header, body)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: read back: %w", ErrEncode, err)
	}
	if !sameText(back, e.dec.readable(j)) {
		return nil, nil, fmt.Errorf("%w: the written message is read as a different job", ErrEncode)
	}
	return header, body, nil
}

// Unread lists the fields of a job that are set and that the mapping does not
// read, so that Encode leaves them out. A description that every job gets does not
// count.
func (e *Encoder) Unread(j Job) []string {
	if j.Description == defaultDescription(j) {
		j.Description = ""
	}
	var names []string
	for i, value := range j.texts() {
		if value != "" && e.dec.fields.fields[i].off() {
			names = append(names, fieldNames[i])
		}
	}
	return names
}

// readable returns the job without the texts that the mapping does not read.
func (d *Decoder) readable(j Job) Job {
	for field, text := range map[int]*string{fieldOrderID: &j.OrderID, fieldNotifyURL: &j.NotifyURL, fieldDescription: &j.Description, fieldCaptureID: &j.CaptureID} {
		if d.fields.fields[field].off() {
			*text = ""
		}
	}
	if j.Description == "" {
		j.Description = defaultDescription(j)
	}
	return j
}

func sameText(a, b Job) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// object returns a job in the mapped shape.
func (d *Decoder) object(m Mapping, j Job) (any, error) {
	var object any = map[string]any{}
	written := map[string]bool{}
	for i, value := range j.texts() {
		f := &d.fields.fields[i]
		switch {
		case value == "" || f.constant != nil:
			continue
		case f.off() && len(unitsOf(i)) > 0:
			return nil, fmt.Errorf("the job has %s, and the mapping does not read it: give it a path in jobs.fields", fieldNames[i])
		case f.off():
			continue
		}
		text, err := inUnit(value, f.unit, i)
		if err != nil {
			return nil, err
		}
		path, steps, err := f.writable(d.fields.queries)
		if err == nil {
			object, err = put(object, path, steps, text)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", fieldNames[i], err)
		}
		written[path] = true
	}
	return m.putMatches(object, written, d.match.queries)
}

// off reports whether the mapping does not read the field.
func (f *fieldSource) off() bool { return len(f.sources) == 0 && f.constant == nil }

// texts returns the values of the job's fields as they are in a message without a
// mapping.
func (j Job) texts() [fieldCount]string {
	return [fieldCount]string{
		j.TradeID, j.Amount.Number(), j.Amount.Currency(), j.OrderID, j.Description,
		timeText(j.AuthorizedAt), j.AuthorizedAmount.Number(), timeText(j.CaptureBefore), j.NotifyURL, j.CaptureID,
	}
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// inUnit returns a value in the unit that the mapping declares.
func inUnit(value string, unit Unit, field int) (string, error) {
	switch unit {
	case UnitMinor:
		minor := strings.TrimLeft(strings.Replace(value, ".", "", 1), "0")
		return minor, nil
	case UnitSeconds, UnitMillis:
		t, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return "", fmt.Errorf("%s: %w", fieldNames[field], err)
		}
		if unit == UnitMillis {
			return strconv.FormatInt(t.UnixMilli(), 10), nil
		}
		return strconv.FormatInt(t.Unix(), 10), nil
	}
	return value, nil
}

// writable returns the first path of the field that leads to one place.
func (f *fieldSource) writable(queries []pathQuery) (path string, steps []any, err error) {
	for _, s := range f.sources {
		if steps, ok := stepsOf(s.path, queries); ok {
			return s.path, steps, nil
		}
	}
	return "", nil, fmt.Errorf("the path %s leads to more than one place, so that no job can be written there; "+
		"add a second path of names after it, like released.trade_id", quoted(f.name()))
}

// stepsOf returns the names and indexes of a path.
func stepsOf(path string, queries []pathQuery) ([]any, bool) {
	for _, q := range queries {
		if q.text == path {
			return q.steps()
		}
	}
	if isQuery(path) {
		return nil, false
	}
	var steps []any
	for name := range strings.SplitSeq(path, ".") {
		steps = append(steps, name)
	}
	return steps, true
}

// putMatches writes the first value of each condition.
func (m Mapping) putMatches(object any, written map[string]bool, queries []pathQuery) (any, error) {
	for _, match := range m.Match {
		if strings.HasPrefix(match.Path, attributePrefix) || written[match.Path] {
			continue
		}
		written[match.Path] = true
		steps, ok := stepsOf(match.Path, queries)
		if !ok {
			return nil, fmt.Errorf("the path %s of jobs.match leads to more than one place, so that no job can be written there", quoted(match.Path))
		}
		var err error
		if object, err = put(object, match.Path, steps, match.values()[0]); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// put sets the value at a path, creates missing objects and arrays, and returns the
// new root.
func put(at any, path string, steps []any, value string) (any, error) {
	if len(steps) == 0 {
		if at != nil {
			return nil, fmt.Errorf("the path %s has two values", quoted(path))
		}
		return value, nil
	}
	switch step := steps[0].(type) {
	case string:
		object, ok := at.(map[string]any)
		if !ok && at != nil {
			return nil, fmt.Errorf("the path %s goes through a value that is not an object", quoted(path))
		}
		if object == nil {
			object = map[string]any{}
		}
		inner, err := put(object[step], path, steps[1:], value)
		object[step] = inner
		return object, err
	case int:
		list, ok := at.([]any)
		if !ok && at != nil {
			return nil, fmt.Errorf("the path %s goes through a value that is not an array", quoted(path))
		}
		for len(list) <= step {
			list = append(list, nil)
		}
		inner, err := put(list[step], path, steps[1:], value)
		list[step] = inner
		return list, err
	}
	return nil, fmt.Errorf("the path %s cannot be written", quoted(path))
}

// attributes returns the headers that satisfy the conditions on CloudEvents
// attributes.
func (m Mapping) attributes(id string) map[string][]string {
	header := map[string][]string{}
	for _, match := range m.Match {
		if strings.HasPrefix(match.Path, attributePrefix) && header[match.Path] == nil {
			header[match.Path] = []string{attributeHeader(match.values()[0])}
		}
	}
	if len(header) == 0 {
		return nil
	}
	for name, value := range map[string]string{
		"ce-specversion": "1.0", "ce-id": attributeHeader(id), "ce-source": "capture-worker",
		"ce-type": "capture.job", "content-type": "application/json",
	} {
		if header[name] == nil {
			header[name] = []string{value}
		}
	}
	return header
}
