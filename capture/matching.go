package capture

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MatchError says why jobs.match passes a message over: the first condition
// that it does not meet.
type MatchError struct {
	// Path is the condition, as it stands in jobs.match.
	Path string
	// Want are the values that it takes.
	Want []string
	// Missing is set if the message has nothing at the path, or null.
	Missing bool
	// Found is what stands there instead, cut and in ASCII: a value as Go quotes
	// it, or the name of its kind ("an object").
	Found string
	// Case is set if a wanted value differs from what is there in letter case
	// only.
	Case bool
}

// Error implements error.
func (e *MatchError) Error() string {
	want := quotedList(e.Want)
	switch {
	case e.Missing:
		return fmt.Sprintf("%s: %s is not there; %s is wanted", ErrNotOurs, e.Path, want)
	case e.Case:
		return fmt.Sprintf("%s: %s is %s; %s is wanted, which differs in letter case only (ignore_case takes both)", ErrNotOurs, e.Path, e.Found, want)
	}
	return fmt.Sprintf("%s: %s is %s; %s is wanted", ErrNotOurs, e.Path, e.Found, want)
}

// Is reports that every MatchError is ErrNotOurs.
func (e *MatchError) Is(target error) bool { return target == ErrNotOurs }

// maxListed bounds the values that an error lists.
const maxListed = 4

func quotedList(values []string) string {
	more := ""
	if len(values) > maxListed {
		values, more = values[:maxListed], fmt.Sprintf(" or %d more", len(values)-maxListed)
	}
	list := make([]string, 0, len(values))
	for _, v := range values {
		list = append(list, quoted(v))
	}
	return strings.Join(list, " or ") + more
}

// wanted is a value of a condition.
type wanted struct {
	text string
	fold bool
}

// selector is one path of jobs.match with the values that it may have.
type selector struct {
	path   string // of an attribute, its name
	values []wanted
}

// takes returns nil if the value is wanted, and else what is wrong with it.
func (s *selector) takes(value string) *MatchError {
	alike := false
	for _, w := range s.values {
		if w.text == value || w.fold && strings.EqualFold(w.text, value) {
			return nil
		}
		alike = alike || strings.EqualFold(w.text, value)
	}
	e := s.fault()
	e.Found, e.Case = quoted(value), alike
	return e
}

func (s *selector) missing() *MatchError {
	e := s.fault()
	e.Missing = true
	return e
}

func (s *selector) fault() *MatchError {
	e := &MatchError{Path: s.path}
	for _, w := range s.values {
		e.Want = append(e.Want, w.text)
	}
	return e
}

// selection is a compiled list of matches. The zero selection takes everything.
type selection struct {
	attributes []selector // path is the attribute's name
	members    []selector
	tree       *node // of the members with a dotted path
	queries    []pathQuery
}

func compileMatch(section string, match []Match) (selection, error) {
	sel, problems := selection{tree: &node{}}, []error(nil)
	for _, m := range match {
		if err := checkMatch(m); err != nil {
			problems = append(problems, fmt.Errorf("%w: %s.match: %w", ErrMapping, section, err))
			continue
		}
		if name, ok := strings.CutPrefix(m.Path, attributePrefix); ok {
			sel.attributes = addSelector(sel.attributes, name, m)
		} else {
			sel.members = addSelector(sel.members, m.Path, m)
		}
	}
	for i, s := range sel.members {
		if !isQuery(s.path) {
			sel.tree.add(s.path, i, true)
			continue
		}
		q, err := compileQuery(s.path, i)
		if err != nil {
			problems = append(problems, fmt.Errorf("%w: %s.match: %w", ErrMapping, section, err))
			continue
		}
		sel.queries = append(sel.queries, q)
	}
	if path := sel.tree.crossed(); path != "" {
		problems = append(problems, fmt.Errorf("%w: %s.match: %s must have a value, and another path goes through it; both can never be",
			ErrMapping, section, quoted(path)))
	}
	sel.tree.relax()
	return sel, errors.Join(problems...)
}

// relax lets a path of jobs.match meet anything on its way: the event then just
// is not selected.
func (n *node) relax() {
	n.strict = false
	for _, k := range n.kids {
		k.relax()
	}
}

func addSelector(list []selector, path string, m Match) []selector {
	at := slices.IndexFunc(list, func(s selector) bool { return s.path == path })
	if at < 0 {
		at, list = len(list), append(list, selector{path: path})
	}
	for _, v := range m.values() {
		list[at].values = append(list[at].values, wanted{v, m.IgnoreCase})
	}
	return list
}

// values lists the alternatives of a condition.
func (m Match) values() []string {
	if m.Value == "" {
		return m.Values
	}
	return append([]string{m.Value}, m.Values...)
}

func checkMatch(m Match) error {
	if !isQuery(m.Path) {
		if err := checkPath(m.Path); err != nil {
			return err
		}
	}
	if values := m.values(); len(values) == 0 || slices.Contains(values, "") {
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
func (s *selection) takesAttributes(attribute func(i int, name string) (string, bool, error)) error {
	for i := range s.attributes {
		sel := &s.attributes[i]
		value, ok := "", false
		if attribute != nil {
			var err error
			if value, ok, err = attribute(i, sel.path); err != nil {
				return err
			}
		}
		e := sel.missing()
		if ok {
			e = sel.takes(value)
		}
		if e != nil {
			e.Path = attributePrefix + e.Path
			return e
		}
	}
	return nil
}

// takesData returns an error unless the members of doc satisfy the conditions on
// the data of an event. A nil doc has no members.
func (s *selection) takesData(doc *document) error {
	if len(s.members) == 0 {
		return nil
	}
	found := make([][]byte, len(s.members))
	if doc.raw != nil {
		if err := s.tree.collect(doc.raw, found); err != nil {
			return err
		}
		if err := doc.find(s.queries, found); err != nil {
			return err
		}
	}
	for i := range s.members {
		if e := s.members[i].judge(found[i]); e != nil {
			return e
		}
	}
	return nil
}

// judge compares what a path led to, as JSON text.
func (s *selector) judge(raw []byte) *MatchError {
	if isNull(raw) {
		return s.missing()
	}
	value, ok := literal(raw)
	if !ok {
		e := s.fault()
		e.Found = kindOf(raw)
		return e
	}
	return s.takes(value)
}
