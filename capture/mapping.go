package capture

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// ErrMapping is wrapped by every error about a Mapping.
var ErrMapping = errors.New("not a usable mapping")

// Mapping describes how to read a job from a message of another shape. The zero
// Mapping reads jobs in their own shape.
//
// A path that begins with $ is an RFC 9535 JSONPath query. Any other path is member
// names joined by dots ("payment.trade_id"), with exact letter case: it goes
// through objects only. If the message is a CloudEvent, paths start at its data. A
// path leads to one value: null counts as absent, and several values are an error.
type Mapping struct {
	// Fields maps the names of JobFields to their places. A required field that is
	// not listed is read at the top level under its own name. An optional field
	// that is not listed is not read if any field is listed, because a member of
	// that name in another shape may mean something else.
	Fields map[string]Field `json:"fields,omitempty"`
	// Match selects the messages that are jobs. Every path must match; if several
	// entries have one path, one of them must. A path "ce-type" means the
	// CloudEvents attribute of that name.
	Match []Match `json:"match,omitempty"`
	// NotifyHosts lists the hosts that are allowed in a job's notify_url. Nil
	// allows any, an empty list none.
	NotifyHosts []string `json:"notify_hosts"`
}

// Field is the source of a field of the job: the first of Paths that leads to a
// value, or Value, a constant.
type Field struct {
	Paths []string `json:"paths,omitempty"`
	Value string   `json:"value,omitempty"`
	Unit  Unit     `json:"unit,omitempty"`
}

// At returns a Field that is read at the first of the paths that leads to a value.
func At(paths ...string) Field { return Field{Paths: paths} }

// Unit is the unit of a number. An amount is in major units ("24.99") or in minor
// units (2499); a time is RFC 3339, or Unix time in seconds or milliseconds.
type Unit string

// The units.
const (
	UnitMajor   Unit = "major"
	UnitMinor   Unit = "minor"
	UnitSeconds Unit = "seconds"
	UnitMillis  Unit = "milliseconds"
)

// unitsOf returns the units that a field may declare.
func unitsOf(field int) []Unit {
	switch field {
	case fieldAmount, fieldAuthorizedAmount:
		return []Unit{UnitMajor, UnitMinor}
	case fieldAuthorizedAt, fieldCaptureBefore:
		return []Unit{UnitSeconds, UnitMillis}
	}
	return nil
}

// Match is a path and the values that it may lead to: strings, or numbers and
// booleans written as in JSON.
type Match struct {
	Path  string `json:"path"`
	Value string `json:"value,omitempty"` // one value, in addition to Values
	// Values are alternatives.
	Values []string `json:"values,omitempty"`
	// IgnoreCase compares without regard to letter case.
	IgnoreCase bool `json:"ignore_case,omitempty"`
	// Others are values that are expected there and not wanted; "null" is that of
	// a member that is not there. Events with them are passed over like others, and
	// are nothing to look at.
	Others []string `json:"others,omitempty"`
}

// otherAbsent, in Match.Others, means an absent member.
const otherAbsent = "null"

// attributePrefix marks a Match path that means a CloudEvents attribute. It is also
// the prefix of the attributes' headers.
const attributePrefix = "ce-"

const (
	maxPath  = maxDepth // names of a path; decoded messages are not nested deeper
	maxPaths = 8        // paths of a field
)

// source is a path of a field, and the slot for its value.
type source struct {
	path string
	slot int
}

// fieldSource is a compiled Field.
type fieldSource struct {
	sources  []source
	constant []byte // as JSON text
	unit     Unit
	mapped   bool
}

// name returns the name of the field in errors about an absent field.
func (f *fieldSource) name() string {
	paths := make([]string, 0, len(f.sources))
	for _, s := range f.sources {
		paths = append(paths, s.path)
	}
	return strings.Join(paths, " or ")
}

// reading is a compiled Mapping.Fields.
type reading struct {
	fields  [slotCount]fieldSource
	tree    *node // holds the dotted paths
	queries []pathQuery
	slots   int
}

// shape is what kind of message a mapping is for.
type shape struct {
	section  string // of the configuration, for errors
	fields   []int
	required int // so many of the first fields
}

var (
	jobShape = shape{"jobs", []int{
		fieldTradeID, fieldAmount, fieldCurrency, fieldOrderID, fieldDescription, fieldAuthorizedAt, fieldAuthorizedAmount,
		fieldCaptureBefore, fieldNotifyURL, fieldCaptureID,
	}, 3}
	withdrawalShape = shape{"withdrawals", []int{fieldTradeID, fieldOrderID, fieldReason, fieldBy}, 0}
)

func (s shape) names() []string {
	names := make([]string, 0, len(s.fields))
	for _, i := range s.fields {
		names = append(names, fieldNames[i])
	}
	return names
}

// compile checks the fields of a mapping and compiles their paths.
func (s shape) compile(fields map[string]Field) (*reading, error) {
	r := &reading{tree: &node{closed: len(fields) == 0}}
	problems := s.unknown(fields)
	for n, i := range s.fields {
		name := fieldNames[i]
		f, mapped := fields[name]
		if !mapped && len(fields) > 0 && n >= s.required {
			continue // an optional field that is not mapped is off
		}
		if !mapped {
			f = At(name)
		}
		if err := r.add(i, f, mapped); err != nil {
			problems = append(problems, fmt.Errorf("%w: %s.fields: %s: %w", ErrMapping, s.section, name, err))
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if path := r.tree.crossed(); path != "" {
		return nil, fmt.Errorf("%w: %s.fields: %s is read as a field, but another path goes through it; it cannot be both a text and an object",
			ErrMapping, s.section, quoted(path))
	}
	return r, nil
}

func (s shape) unknown(fields map[string]Field) (problems []error) {
	names := s.names()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(names, name) {
			problems = append(problems, fmt.Errorf("%w: %s.fields: there is no field %s; the fields are %s",
				ErrMapping, s.section, quoted(name), strings.Join(names, ", ")))
		}
	}
	return problems
}

// add compiles one field.
func (r *reading) add(i int, f Field, mapped bool) error {
	to := &r.fields[i]
	to.unit, to.mapped = f.Unit, mapped
	if err := checkField(i, f); err != nil {
		return err
	}
	if f.Value != "" {
		to.constant = jsonString(f.Value)
		return nil
	}
	for _, path := range f.Paths {
		if err := r.addPath(to, path, len(f.Paths) == 1); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) addPath(to *fieldSource, path string, alone bool) error {
	slot := r.slots
	if isQuery(path) {
		q, err := compileQuery(path, slot)
		if err != nil {
			return err
		}
		r.queries = append(r.queries, q)
	} else {
		if err := checkPath(path); err != nil {
			return err
		}
		r.tree.add(path, slot, alone)
	}
	to.sources = append(to.sources, source{path, slot})
	r.slots++
	return nil
}

func checkField(i int, f Field) error {
	allowed := unitsOf(i)
	switch {
	case f.Value != "" && len(f.Paths) > 0:
		return errors.New("has both a path and a value; only one is allowed")
	case f.Value != "" && i == fieldTradeID:
		return errors.New("is a constant, but each capture has a trade of its own; give its path")
	case f.Value == "" && len(f.Paths) == 0:
		return errors.New("the path is empty; write member names joined by dots, like payment.trade_id, or a JSONPath, like $.payments[0].id")
	case len(f.Paths) > maxPaths:
		return fmt.Errorf("has %d paths; at most %d are allowed", len(f.Paths), maxPaths)
	case f.Unit != "" && len(allowed) == 0:
		return fmt.Errorf("has the unit %s; only amounts and times have one", quoted(string(f.Unit)))
	case f.Unit != "" && !slices.Contains(allowed, f.Unit):
		return fmt.Errorf("has the unit %s; it must be %s or %s", quoted(string(f.Unit)), allowed[0], allowed[1])
	}
	for _, path := range f.Paths {
		if strings.HasPrefix(path, attributePrefix) {
			return fmt.Errorf("%s: a CloudEvents attribute can be matched, but a field cannot be read from it", quoted(path))
		}
	}
	return nil
}

func checkPath(path string) error {
	names := strings.Split(path, ".")
	switch {
	case strings.TrimSpace(path) == "":
		return errors.New("the path is empty; write member names joined by dots, like payment.trade_id")
	case slices.Contains(names, ""):
		return fmt.Errorf("the path %s has an empty name; write member names joined by single dots, like payment.trade_id", quoted(path))
	case len(names) > maxPath:
		return fmt.Errorf("the path %s has more than %d segments", quoted(path), maxPath)
	}
	for _, name := range names {
		if name != strings.TrimSpace(name) || !graphic(name) {
			return fmt.Errorf("the path %s has spaces around a name, or a character that cannot be printed", quoted(path))
		}
	}
	return nil
}

// graphic reports whether text has no control or formatting characters, no line
// ends and no U+FFFD.
func graphic(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || r == unicode.ReplacementChar }) < 0
}
