package capture

import (
	"bytes"
	"fmt"
	"strings"
)

// node is one member name of a path. The root has no name.
type node struct {
	name  []byte
	path  string
	slots []int // the slots for the value; none if the path continues
	kids  []*node
	// strict makes a value on the path that is not an object an error: the path has
	// no alternative, so the field cannot exist.
	strict bool
	// closed is set for a root with published member names: a name that differs
	// from one of them in letter case only is always an error.
	closed bool
}

// add makes collect put the value at path into slot.
func (n *node) add(path string, slot int, strict bool) {
	for name := range strings.SplitSeq(path, ".") {
		n = n.kid(name)
		n.strict = n.strict || strict
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

// crossed returns a path that is read as a value and is also the beginning of
// another path, or "". If both fields have an alternative path, different events
// may have either.
func (n *node) crossed() string {
	if len(n.slots) > 0 && len(n.kids) > 0 && n.strict {
		return n.path
	}
	for _, k := range n.kids {
		if path := k.crossed(); path != "" {
			return path
		}
	}
	return ""
}

// lookalike is a member whose name differs from a wanted one in letter case
// only.
type lookalike struct {
	kid         int
	name, value []byte
}

// collect puts the values found in a valid object into out. At each level that it
// visits, a wanted name may occur once, and not together with a confusable name in
// another letter case.
func (n *node) collect(obj []byte, out [][]byte) error {
	var few [16][]byte // enough for a job, and on the stack
	found := few[:]
	if len(n.kids) > len(few) {
		found = make([][]byte, len(n.kids))
	}
	var alike []lookalike
	for quoted, value := range Members(obj) {
		name := memberName(quoted)
		i, exact := n.find(name)
		switch {
		case i < 0:
		case !exact:
			alike = append(alike, lookalike{i, name, value})
		case found[i] != nil:
			return malformed(MalformedDuplicate, n.kids[i].path, "the member occurs twice; publish it once")
		default:
			found[i] = value
		}
	}
	for _, a := range alike {
		kid := n.kids[a.kid]
		if n.closed || isNull(found[a.kid]) || kid.confusable(a.value) {
			return malformed(MalformedCase, kid.path,
				fmt.Sprintf("the member %s differs from %q in letter case only; use the exact name", quoted(string(a.name)), kid.name))
		}
	}
	for i, value := range found[:len(n.kids)] {
		if value == nil {
			continue
		}
		if err := n.kids[i].take(value, out); err != nil {
			return err
		}
	}
	return nil
}

// confusable reports whether a value whose name differs in letter case only leads
// to something that could be read as the same field.
func (n *node) confusable(value []byte) bool {
	if len(n.slots) > 0 {
		_, text := literal(value)
		return text
	}
	if value[0] != '{' {
		return false
	}
	for quoted, inner := range Members(value) {
		if i, _ := n.find(memberName(quoted)); i >= 0 && n.kids[i].confusable(inner) {
			return true
		}
	}
	return false
}

// take puts a value into its slots and continues inside the value.
func (n *node) take(value []byte, out [][]byte) error {
	for _, slot := range n.slots {
		out[slot] = value
	}
	switch {
	case len(n.kids) == 0 || isNull(value):
		return nil
	case value[0] == '{':
		return n.collect(value, out)
	case n.strict:
		return malformed(MalformedField, n.path, notAnObject(value))
	}
	return nil
}

func notAnObject(value []byte) string {
	if value[0] != '[' {
		return fmt.Sprintf("is %s; a path of names goes through objects only", kindOf(value))
	}
	return fmt.Sprintf("is an array of %d, but a path of names goes through objects only; select one element with a JSONPath, "+
		"like $.payments[0].id. One event is one capture: several captures are several messages", countElements(value))
}

// find returns the index of the child with that name, and whether the spelling is
// exact; -1 if no path has the name.
func (n *node) find(name []byte) (index int, exact bool) {
	alike := -1
	for i, k := range n.kids {
		if bytes.Equal(k.name, name) {
			return i, true
		}
		if bytes.EqualFold(k.name, name) {
			alike = i
		}
	}
	return alike, false
}
