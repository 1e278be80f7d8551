package capture

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// selector is one path of jobs.match with the values that it may have.
type selector struct {
	path   string
	values []string
}

// selection is a compiled list of matches. The zero selection takes everything.
type selection struct {
	attributes []selector // path is the attribute's name
	members    []selector
	tree       *node // of members
}

func compileMatch(match []Match) (selection, error) {
	sel, problems := selection{tree: &node{}}, []error(nil)
	for _, m := range match {
		if err := checkMatch(m); err != nil {
			problems = append(problems, fmt.Errorf("%w: jobs.match: %w", ErrMapping, err))
			continue
		}
		if name, ok := strings.CutPrefix(m.Path, attributePrefix); ok {
			sel.attributes = addSelector(sel.attributes, name, m.Value)
		} else {
			sel.members = addSelector(sel.members, m.Path, m.Value)
		}
	}
	for i, s := range sel.members {
		sel.tree.add(s.path, i)
	}
	if path := sel.tree.crossed(); path != "" {
		problems = append(problems, fmt.Errorf("%w: jobs.match: %s must have a value, and another path goes through it; both can never be",
			ErrMapping, quoted(path)))
	}
	return sel, errors.Join(problems...)
}

func addSelector(list []selector, path, value string) []selector {
	for i := range list {
		if list[i].path == path {
			list[i].values = append(list[i].values, value)
			return list
		}
	}
	return append(list, selector{path, []string{value}})
}

func checkMatch(m Match) error {
	if err := checkPath(m.Path); err != nil {
		return err
	}
	if m.Value == "" {
		return fmt.Errorf("%s: the value is empty; write what the member must hold", quoted(m.Path))
	}
	name, ok := strings.CutPrefix(m.Path, attributePrefix)
	if ok && (!attributeName(name) || name == "data") {
		return fmt.Errorf("%s: not a CloudEvents attribute; write ce- and its name in lower-case letters and digits, like ce-type", quoted(m.Path))
	}
	return nil
}

func attributeName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// takesAttributes decides by the CloudEvents attributes; a plain message has
// none (nil). The function is given the selector's number and the name.
func (s selection) takesAttributes(attribute func(i int, name string) (string, bool, error)) (bool, error) {
	for i, sel := range s.attributes {
		if attribute == nil {
			return false, nil
		}
		value, ok, err := attribute(i, sel.path)
		if err != nil {
			return false, err
		}
		if !ok || !slices.Contains(sel.values, value) {
			return false, nil
		}
	}
	return true, nil
}

// takesData decides by the members of a valid object; nil has none.
func (s selection) takesData(obj []byte) (bool, error) {
	if len(s.members) == 0 {
		return true, nil
	}
	found := make([][]byte, len(s.members))
	if obj != nil {
		if err := s.tree.collect(obj, found, false); err != nil {
			return false, err
		}
	}
	for i, sel := range s.members {
		value, ok := literal(found[i])
		if !ok || !slices.Contains(sel.values, value) {
			return false, nil
		}
	}
	return true, nil
}
