package capture

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mismatch is how a message fails a condition of jobs.match.
type Mismatch string

// The mismatches.
const (
	// MismatchExpected is a value that Match.Others lists.
	MismatchExpected Mismatch = "expected"
	MismatchMissing  Mismatch = "missing" // nothing is at the path, or null
	MismatchCase     Mismatch = "case"    // it differs from a wanted value in letter case only
	MismatchValue    Mismatch = "value"   // another value
)

// Mismatches lists all of them.
func Mismatches() []Mismatch {
	return []Mismatch{MismatchExpected, MismatchMissing, MismatchCase, MismatchValue}
}

// MatchError is the condition of jobs.match that a message does not meet: of several
// one with an expected value, else the first.
type MatchError struct {
	// Path is the path of the condition in jobs.match.
	Path string `json:"path"`
	// Want holds the values that the condition accepts.
	Want []string `json:"want"`
	// Missing is set if the message has nothing at the path, or null.
	Missing bool `json:"missing,omitempty"`
	// Found is the value at the path, quoted as in Go, in ASCII and cut; or the
	// name of its JSON type ("an object").
	Found string `json:"found,omitempty"`
	// Case is set if Found differs from a wanted value in letter case only.
	Case bool `json:"case,omitempty"`
	// Expected is set if Match.Others lists Found.
	Expected bool `json:"expected,omitempty"`
}

// Error implements error.
func (e *MatchError) Error() string { return ErrNotOurs.Error() + ": " + e.Text() }

// Text returns the condition that is not met, without the text of ErrNotOurs.
func (e *MatchError) Text() string {
	found := e.Found
	if e.Missing {
		found = "absent"
	}
	text := fmt.Sprintf("%s is %s; %s is wanted", e.Path, found, quotedList(e.Want))
	if e.Case {
		text += ", which differs in letter case only (ignore_case takes both)"
	}
	return text
}

// Kind classifies the error.
func (e *MatchError) Kind() Mismatch {
	switch {
	case e.Expected:
		return MismatchExpected
	case e.Missing:
		return MismatchMissing
	case e.Case:
		return MismatchCase
	}
	return MismatchValue
}

// Is reports whether target is ErrNotOurs, which every MatchError is.
func (e *MatchError) Is(target error) bool { return target == ErrNotOurs }

// maxListed is the number of values that an error lists.
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

func (w wanted) is(value string) bool {
	return w.text == value || w.fold && strings.EqualFold(w.text, value)
}

// selector is one path of jobs.match with the values that it may have.
type selector struct {
	path   string // the name of the CloudEvents attribute
	values []wanted
	others []wanted // values that are expected and not wanted
}

// takes returns nil if the condition accepts the value, else the error.
func (s *selector) takes(value string) *MatchError {
	alike := false
	for _, w := range s.values {
		if w.is(value) {
			return nil
		}
		alike = alike || strings.EqualFold(w.text, value)
	}
	e := s.fault()
	e.Found, e.Expected = quoted(value), s.expects(value)
	e.Case = alike && !e.Expected
	return e
}

func (s *selector) missing() *MatchError {
	e := s.fault()
	e.Missing, e.Expected = true, s.expects(otherAbsent)
	return e
}

func (s *selector) expects(value string) bool {
	return slices.ContainsFunc(s.others, func(w wanted) bool { return w.is(value) })
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
	tree       *node // holds the dotted paths
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
		problems = append(problems, fmt.Errorf("%w: %s.match: %s must have a value, but another path goes through it; both conditions can never be met",
			ErrMapping, section, quoted(path)))
	}
	sel.tree.relax()
	return sel, errors.Join(problems...)
}

// relax lets a path of jobs.match meet values that are not objects: then the event
// is not selected, without an error.
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
	for _, v := range m.Others {
		list[at].others = append(list[at].others, wanted{v, m.IgnoreCase})
	}
	return list
}

// values returns the accepted values of a condition.
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
	if slices.Contains(m.Others, "") {
		return fmt.Errorf("%s: an empty value is in others; write null for an absent member", quoted(m.Path))
	}
	for _, v := range m.values() {
		if slices.Contains(m.Others, v) {
			return fmt.Errorf("%s: %s is wanted and in others; it can be one of them", quoted(m.Path), quoted(v))
		}
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

// takesAttributes checks the conditions on CloudEvents attributes. attribute
// returns the value for a selector's number and a name; it is nil for a plain
// message, which has no attributes.
func (s *selection) takesAttributes(attribute func(i int, name string) (string, bool, error)) error {
	var unmet *MatchError
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
			unmet = tellsMore(unmet, e)
		}
	}
	return unmet.orNil()
}

// tellsMore returns the error that explains better: one about an expected value, else
// the first. Either may be nil.
func tellsMore(a, b *MatchError) *MatchError {
	if a == nil || b != nil && b.Expected && !a.Expected {
		return b
	}
	return a
}

// orNil is the error, without a nil pointer in an interface.
func (e *MatchError) orNil() error {
	if e == nil {
		return nil
	}
	return e
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
	var unmet *MatchError
	for i := range s.members {
		unmet = tellsMore(unmet, s.members[i].judge(found[i]))
	}
	return unmet.orNil()
}

// judge compares the value at a path, as JSON text, with the condition.
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
