package capture

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// The members of a structured event that capture-worker or the CloudEvents standard
// gives a meaning; each must occur once. Their numbers are slots of an envelope.
const (
	ceVersion = iota
	ceData
	ceBase64
	ceContentType
	ceCount
)

var ceNames = [ceCount]string{"specversion", "data", "data_base64", "datacontenttype"}

var ceOthers = []string{"id", "source", "type", "subject", "time", "dataschema"}

// envelopeNode returns the path tree for the members of a structured event,
// including those that jobs.match compares.
func envelopeNode(attributes []selector) *node {
	root := &node{closed: true}
	for i, name := range ceNames {
		root.add(name, i, false)
	}
	for _, name := range ceOthers {
		root.kid(name)
	}
	for i, sel := range attributes {
		root.add(sel.path, ceCount+i, false)
	}
	return root
}

// unwrap returns the object that holds the job, as valid JSON. It returns nil if
// the event has no data, and ErrNotOurs if jobs.match does not select the
// attributes.
func (d *Decoder) unwrap(header map[string][]string, body []byte) ([]byte, error) {
	if len(body) > maxBody {
		return nil, checkObject(body)
	}
	contentType, _, err := headerValue(header, "content-type")
	if err != nil {
		return nil, err
	}
	media := mediaType(contentType)
	if media != "application/cloudevents+json" && strings.HasPrefix(media, "application/cloudevents") {
		return nil, malformed(MalformedCloudEvent, "content-type",
			quoted(media)+": only single events in JSON are read, application/cloudevents+json")
	}
	structured := media == "application/cloudevents+json"
	if !structured {
		version, binary, err := headerValue(header, "ce-specversion")
		if err != nil {
			return nil, err
		}
		if binary {
			return d.unwrapBinary(header, version, contentType, body)
		}
	}
	if err := checkObject(body); err != nil {
		return nil, err
	}
	if structured || hasMember(body, ceNames[ceVersion]) {
		return d.unwrapStructured(body)
	}
	if err := d.match.takesAttributes(nil); err != nil {
		return nil, err
	}
	return body, nil
}

// unwrapBinary reads an event in binary mode: the attributes are headers, the data
// is the body.
func (d *Decoder) unwrapBinary(header map[string][]string, version, contentType string, body []byte) ([]byte, error) {
	if err := checkVersion(attributeValue(version), "ce-specversion"); err != nil {
		return nil, err
	}
	err := d.match.takesAttributes(func(_ int, name string) (string, bool, error) {
		value, ok, err := headerValue(header, attributePrefix+name)
		return attributeValue(value), ok, err
	})
	if err != nil {
		return nil, err
	}
	if err := checkContentType(contentType, "content-type"); err != nil {
		return nil, err
	}
	if len(body) == 0 && len(d.match.members) > 0 {
		return nil, nil
	}
	return body, checkObject(body)
}

// unwrapStructured reads an event in structured mode: attributes and data are in
// the body.
func (d *Decoder) unwrapStructured(body []byte) ([]byte, error) {
	found := make([][]byte, ceCount+len(d.match.attributes))
	if err := d.envelope.collect(body, found); err != nil {
		return nil, err
	}
	version, err := attributeText(found[ceVersion], ceNames[ceVersion])
	if err != nil {
		return nil, err
	}
	if err := checkVersion(version, ceNames[ceVersion]); err != nil {
		return nil, err
	}
	err = d.match.takesAttributes(func(i int, _ string) (string, bool, error) {
		text, ok := literal(found[ceCount+i])
		return text, ok, nil
	})
	if err != nil {
		return nil, err
	}
	contentType, err := attributeText(found[ceContentType], ceNames[ceContentType])
	if err != nil {
		return nil, err
	}
	if err := checkContentType(contentType, ceNames[ceContentType]); err != nil {
		return nil, err
	}
	return d.structuredData(found[ceData], found[ceBase64])
}

// structuredData returns the event's data. It returns nil if there is none and
// jobs.match has a condition on the data.
func (d *Decoder) structuredData(data, encoded []byte) ([]byte, error) {
	switch {
	case !isNull(data) && !isNull(encoded):
		return nil, malformed(MalformedCloudEvent, "data", "the event has both data and data_base64; only one is allowed")
	case !isNull(encoded):
		return decodeBase64(encoded)
	case isNull(data) && len(d.match.members) > 0:
		return nil, nil
	case isNull(data):
		return nil, malformed(MalformedCloudEvent, "data", "the event has no data; put the job there")
	case data[0] == '{':
		return data, nil
	case data[0] == '"':
		return nil, malformed(MalformedCloudEvent, "data",
			"is a string; put the job there as an object, not as text (or in data_base64)")
	}
	return nil, malformed(MalformedCloudEvent, "data", "is "+kindOf(data)+"; the job is one object {…}")
}

func decodeBase64(encoded []byte) ([]byte, error) {
	if encoded[0] != '"' {
		return nil, malformed(MalformedCloudEvent, "data_base64", "is "+kindOf(encoded)+"; it must be a string")
	}
	obj, err := base64.StdEncoding.Strict().DecodeString(unquote(encoded))
	if err != nil {
		return nil, malformed(MalformedCloudEvent, "data_base64", "is not base64 in the standard alphabet with padding")
	}
	return obj, checkObject(obj)
}

func checkVersion(version, where string) error {
	minor, ok := strings.CutPrefix(version, "1.")
	if ok && allDigits(minor) {
		return nil
	}
	return malformed(MalformedCloudEvent, where, fmt.Sprintf("is %s; CloudEvents 1.x are read, usually \"1.0\"", quoted(version)))
}

// checkContentType refuses data with another content type than JSON. No type means
// JSON.
func checkContentType(contentType, where string) error {
	media := mediaType(contentType)
	if media == "" || media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json") {
		return nil
	}
	return malformed(MalformedCloudEvent, where, fmt.Sprintf("is %s; the data must be application/json", quoted(contentType)))
}

// mediaType returns a content type without its parameters, in lower case. Text that
// is not a media type is returned in lower case.
func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

func attributeText(raw []byte, name string) (string, error) {
	switch {
	case isNull(raw):
		return "", nil
	case raw[0] != '"':
		return "", malformed(MalformedCloudEvent, name, "is "+kindOf(raw)+"; it must be a string")
	}
	return unquote(raw), nil
}

func hasMember(obj []byte, want string) bool {
	for quoted := range Members(obj) {
		name := memberName(quoted)
		if string(name) == want {
			return true
		}
	}
	return false
}

// headerValue finds a header without regard to letter case. Two different values
// are an error.
func headerValue(header map[string][]string, name string) (value string, found bool, err error) {
	for key, values := range header {
		if !strings.EqualFold(key, name) {
			continue
		}
		for _, v := range values {
			v = strings.TrimSpace(v)
			if found && v != value {
				return "", false, malformed(MalformedCloudEvent, name, "the header is given twice, with different values")
			}
			value, found = v, true
		}
	}
	return value, found, nil
}

// attributeValue decodes the header of an attribute in binary mode as CloudEvents
// requires: double quotes are removed, then percent-encoding is decoded once.
// Invalid encoding is kept unchanged, because many publishers write raw values.
func attributeValue(header string) string {
	if n := len(header); n >= 2 && header[0] == '"' && header[n-1] == '"' {
		header = unescaped(header[1 : n-1])
	}
	if strings.IndexByte(header, '%') < 0 {
		return header
	}
	b := make([]byte, 0, len(header))
	for i := 0; i < len(header); i++ {
		if header[i] == '%' && i+2 < len(header) {
			if c, err := hex.DecodeString(header[i+1 : i+3]); err == nil {
				b = append(b, c[0])
				i += 2
				continue
			}
		}
		b = append(b, header[i])
	}
	return strings.ToValidUTF8(string(b), "\ufffd")
}

// unescaped removes the backslashes of a quoted string.
func unescaped(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// attributeHeader encodes an attribute's value as a header in binary mode.
func attributeHeader(value string) string {
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; c <= ' ' || c > '~' || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
