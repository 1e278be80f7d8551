package capture

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// ErrMapping is what every error about a Mapping wraps.
var ErrMapping = errors.New("not a usable mapping")

// Mapping says how to read a job out of an event of another shape. The zero
// Mapping reads our own shape.
//
// A path is member names joined by dots ("payment.trade_id"), in their own
// letter case. It goes through objects only: there is no way to name an
// element of an array, nor a member whose name holds a dot. Where the message
// is a CloudEvent, paths start at its data.
type Mapping struct {
	// Fields gives the path of a field, by our name of it (see JobFields). A
	// field that is not listed keeps its own name at the top level.
	Fields map[string]string
	// Match selects the messages to take. Every path must match; of several
	// entries with one path, one. A path "ce-type" means the CloudEvents
	// attribute of that name.
	Match []Match
	// NotifyHosts are the hosts that a job's own notify_url may name. Nil allows
	// any, an empty list none.
	NotifyHosts []string
}

// Match is a path and the value that it must lead to: a string, or a number or
// boolean written as in JSON.
type Match struct{ Path, Value string }

// attributePrefix starts a Match path that means a CloudEvents attribute. It
// is the prefix of the headers that carry them.
const attributePrefix = "ce-"

// maxPath bounds the members of a path; deeper ones could never be reached.
const maxPath = maxDepth

// node is one member name on the way to what we read. The root has no name.
type node struct {
	name  []byte
	path  string
	slots []int // where the value goes; none where the path goes on
	kids  []*node
}

// add lets the value at path be put into slot.
func (n *node) add(path string, slot int) {
	for name := range strings.SplitSeq(path, ".") {
		n = n.kid(name)
	}
	n.slots = append(n.slots, slot)
}

func (n *node) kid(name string) *node {
	for _, k := range n.kids {
		if string(k.name) == name {
			return k
		}
	}
	path := name
	if n.path != "" {
		path = n.path + "." + name
	}
	k := &node{name: []byte(name), path: path}
	n.kids = append(n.kids, k)
	return k
}

// crossed returns a path that is read and also led through, or "".
func (n *node) crossed() string {
	if len(n.slots) > 0 && len(n.kids) > 0 {
		return n.path
	}
	for _, k := range n.kids {
		if path := k.crossed(); path != "" {
			return path
		}
	}
	return ""
}

// collect puts the values found in a valid object into out. At each level that
// it visits, a wanted name may occur once, and in its own letter case only.
// Where a path meets something else than an object, strict says whether that
// is an error or the value just is not there.
func (n *node) collect(obj []byte, out [][]byte, strict bool) error {
	seen := make([]bool, len(n.kids))
	for quoted, value := range Members(obj) {
		name := memberName(quoted)
		i, err := n.find(name)
		if err != nil {
			return err
		}
		if i < 0 {
			continue
		}
		kid := n.kids[i]
		if seen[i] {
			return malformed(MalformedDuplicate, kid.path, "the member occurs twice; which one is meant?")
		}
		seen[i] = true
		for _, slot := range kid.slots {
			out[slot] = value
		}
		if err := kid.enter(value, out, strict); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) enter(value []byte, out [][]byte, strict bool) error {
	switch {
	case len(n.kids) == 0 || isNull(value):
		return nil
	case value[0] == '{':
		return n.collect(value, out, strict)
	case strict:
		return malformed(MalformedField, n.path, fmt.Sprintf("is %s; a path of jobs.fields goes through objects only", kindOf(value)))
	}
	return nil
}

// find returns the index of the kid of that name, -1 where the name means
// nothing to us.
func (n *node) find(name []byte) (int, error) {
	lookalike := -1
	for i, k := range n.kids {
		if bytes.Equal(k.name, name) {
			return i, nil
		}
		if bytes.EqualFold(k.name, name) {
			lookalike = i
		}
	}
	if lookalike < 0 {
		return -1, nil
	}
	k := n.kids[lookalike]
	return -1, malformed(MalformedCase, k.path,
		fmt.Sprintf("the member %s differs from %q in letter case only; write it exactly so", quoted(string(name)), k.name))
}

// compileFields builds the tree of what a job is read from, and the path of
// each field.
func compileFields(fields map[string]string) (*node, [fieldCount]string, error) {
	paths, problems := fieldNames, []error(nil)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		i := slices.Index(fieldNames[:], name)
		if i < 0 {
			problems = append(problems, fmt.Errorf("%w: jobs.fields: no field is called %s; the fields are %s",
				ErrMapping, quoted(name), strings.Join(fieldNames[:], ", ")))
			continue
		}
		if err := checkPath(fields[name]); err != nil {
			problems = append(problems, fmt.Errorf("%w: jobs.fields: %s: %w", ErrMapping, name, err))
		}
		if strings.HasPrefix(fields[name], attributePrefix) {
			problems = append(problems, fmt.Errorf("%w: jobs.fields: %s: %s: a CloudEvents attribute can be matched, but no field is read from it",
				ErrMapping, name, quoted(fields[name])))
		}
		paths[i] = fields[name]
	}
	if len(problems) > 0 {
		return nil, paths, errors.Join(problems...)
	}
	root := &node{}
	for i, path := range paths {
		root.add(path, i)
	}
	if path := root.crossed(); path != "" {
		return nil, paths, fmt.Errorf("%w: jobs.fields: %s is read as a field, and another path goes through it; it can be a text or an object, not both",
			ErrMapping, quoted(path))
	}
	return root, paths, nil
}

func checkPath(path string) error {
	names := strings.Split(path, ".")
	switch {
	case strings.TrimSpace(path) == "":
		return errors.New("the path is empty; write member names joined by dots, like payment.trade_id")
	case slices.Contains(names, ""):
		return fmt.Errorf("the path %s has an empty name in it; write member names joined by single dots, like payment.trade_id", quoted(path))
	case len(names) > maxPath:
		return fmt.Errorf("the path %s has more than %d names", quoted(path), maxPath)
	}
	for _, name := range names {
		if name != strings.TrimSpace(name) || !graphic(name) {
			return fmt.Errorf("the path %s has spaces around a name, or what cannot be printed", quoted(path))
		}
	}
	return nil
}

// graphic reports text without control and formatting characters, line ends
// and the sign of damaged text.
func graphic(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || r == unicode.ReplacementChar }) < 0
}
