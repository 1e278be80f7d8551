package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/spec"
)

// maxQuery is the greatest length of a JSONPath query.
const maxQuery = 512

// pathQuery is a JSONPath of the mapping, and the slot for its value.
type pathQuery struct {
	path *jsonpath.Path
	text string
	slot int
}

func isQuery(path string) bool { return strings.HasPrefix(path, "$") }

func compileQuery(text string, slot int) (pathQuery, error) {
	if len(text) > maxQuery {
		return pathQuery{}, fmt.Errorf("the path %s has more than %d bytes", quoted(text), maxQuery)
	}
	if !graphic(text) {
		return pathQuery{}, fmt.Errorf("the path %s holds a character that cannot be printed", quoted(text))
	}
	path, err := jsonpath.Parse(text)
	if err != nil {
		what := strings.TrimPrefix(err.Error(), jsonpath.ErrPathParse.Error()+": ")
		return pathQuery{}, fmt.Errorf("the path %s is not a JSONPath (RFC 9535): %s", quoted(text), what)
	}
	return pathQuery{path, text, slot}, nil
}

// document is the object that holds the job. Its tree is built for the first
// JSONPath.
type document struct {
	raw  []byte
	tree any
}

// find puts the value of each query into its slot. No object of the document may
// have a member twice, because the tree would keep only one of the two.
func (d *document) find(queries []pathQuery, out [][]byte) error {
	if len(queries) == 0 || d.raw == nil {
		return nil
	}
	if d.tree == nil {
		tree, err := treeOf(d.raw)
		if err != nil {
			return err
		}
		d.tree = tree
	}
	for _, q := range queries {
		value, err := q.find(d.tree)
		if err != nil {
			return err
		}
		out[q.slot] = value
	}
	return nil
}

// find returns the one value that the query leads to as JSON text, nil if there
// is none.
func (q pathQuery) find(tree any) ([]byte, error) {
	found, err := q.selects(tree)
	if err != nil {
		return nil, err
	}
	var one any
	count := 0
	for _, value := range found {
		if value != nil {
			one = value
			count++
		}
	}
	switch {
	case count == 0:
		return nil, nil
	case count > 1:
		return nil, malformed(MalformedField, q.text, fmt.Sprintf("leads to %d values, but a field needs one: one event is one capture. "+
			"Select one of them in the path, or publish one message for each capture", count))
	}
	return textOf(one), nil
}

// selects applies the query. A panic of the library becomes an error about the
// event: otherwise the job would be redelivered without end.
func (q pathQuery) selects(tree any) (found []any, err error) {
	defer func() {
		if recover() != nil {
			err = malformed(MalformedField, q.text, "the path cannot be applied to this event; write it in another way")
		}
	}()
	return q.path.Select(tree), nil
}

// textOf returns a value of a tree as JSON text. For an array or object only the
// kind matters, because no field can be one.
func textOf(value any) []byte {
	switch v := value.(type) {
	case string:
		return jsonString(v)
	case json.Number:
		return []byte(v)
	case bool:
		return fmt.Appendf(nil, "%t", v)
	case []any:
		return []byte("[]")
	}
	return []byte("{}")
}

func jsonString(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return []byte(`"\ufffd"`) // cannot be: a string can be written
	}
	return b
}

// treeOf returns a valid value as a tree. Numbers are kept as text, so that an
// amount never becomes a float. A member that occurs twice is an error.
func treeOf(raw []byte) (any, error) {
	switch raw[skipSpace(raw, 0)] {
	case '{':
		return objectTree(raw)
	case '[':
		return arrayTree(raw)
	case '"':
		return unquote(raw), nil
	case 't', 'f':
		return raw[0] == 't', nil
	case 'n':
		return nil, nil
	}
	return json.Number(raw), nil
}

func objectTree(raw []byte) (any, error) {
	tree := map[string]any{}
	for quoted, value := range Members(raw) {
		name := string(memberName(quoted))
		if _, twice := tree[name]; twice {
			return nil, malformed(MalformedDuplicate, shownName(name), "the member occurs twice; publish it once")
		}
		v, err := treeOf(value)
		if err != nil {
			return nil, inside(err, shownName(name))
		}
		tree[name] = v
	}
	return tree, nil
}

func arrayTree(raw []byte) (any, error) {
	list := []any{}
	for value := range elements(raw) {
		v, err := treeOf(value)
		if err != nil {
			return nil, inside(err, fmt.Sprintf("[%d]", len(list)))
		}
		list = append(list, v)
	}
	return list, nil
}

// maxShownPath is the greatest length of a path in an error.
const maxShownPath = 120

// inside adds the name of the outer member to the path in an error.
func inside(err error, name string) error {
	bad, ok := errors.AsType[*MalformedError](err)
	if !ok || len(bad.Field)+len(name) > maxShownPath {
		return err
	}
	dot := "."
	if strings.HasPrefix(bad.Field, "[") {
		dot = ""
	}
	return malformed(bad.Reason, name+dot+bad.Field, bad.Detail)
}

func shownName(name string) string {
	if name == "" || len(name) > maxQuoted || !graphic(name) {
		return quoted(name)
	}
	return name
}

// steps returns the names and indexes of a query that leads to one place; ok is
// false for any other query.
func (q pathQuery) steps() (steps []any, ok bool) {
	for _, segment := range q.path.Query().Segments() {
		selectors := segment.Selectors()
		if segment.IsDescendant() || len(selectors) != 1 {
			return nil, false
		}
		switch s := selectors[0].(type) {
		case spec.Name:
			steps = append(steps, string(s))
		case spec.Index:
			if s < 0 || s >= maxDepth {
				return nil, false
			}
			steps = append(steps, int(s))
		default:
			return nil, false
		}
	}
	return steps, len(steps) > 0
}

// firstName returns the member that the query begins with, "" if it may be any.
func (q pathQuery) firstName() string {
	segments := q.path.Query().Segments()
	if len(segments) == 0 || segments[0].IsDescendant() || len(segments[0].Selectors()) != 1 {
		return ""
	}
	name, _ := segments[0].Selectors()[0].(spec.Name)
	return string(name)
}
