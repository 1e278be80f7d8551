package capture

import (
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
// A path that begins with $ is an RFC 9535 JSONPath query. Any other path is
// member names joined by dots ("payment.trade_id"), in their own letter case:
// it goes through objects only. If the message is a CloudEvent, paths start at
// its data. A path leads to one value: null counts as absent, and several
// values are a fault.
type Mapping struct {
	// Fields says where a field stands, by our name of it (see JobFields). Of
	// the fields that are not listed, the required ones keep their own name at
	// the top level; the optional ones are not read once any field is listed,
	// because what others put under such a name is not meant for the ledger.
	Fields map[string]Field
	// Match selects the messages to take. Every path must match; of several
	// entries with one path, one. A path "ce-type" means the CloudEvents
	// attribute of that name.
	Match []Match
	// NotifyHosts are the hosts that a job's own notify_url may name. Nil allows
	// any, an empty list none.
	NotifyHosts []string
}

// Field says where a field of the job comes from: from the first of Paths that
// leads to a value, or from Value, which is the same for every event.
type Field struct {
	Paths []string
	Value string
	Unit  Unit
}

// At is a field at the first of these paths that leads to a value.
func At(paths ...string) Field { return Field{Paths: paths} }

// Unit says what a number means. An amount is in major units ("24.99") or in
// minor ones (2499); a time is RFC 3339, or a count since 1970.
type Unit string

// The units.
const (
	UnitMajor   Unit = "major"
	UnitMinor   Unit = "minor"
	UnitSeconds Unit = "seconds"
	UnitMillis  Unit = "milliseconds"
)

// unitsOf lists the units that a field may declare.
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
	Path  string
	Value string // one value; it counts beside Values
	// Values are alternatives.
	Values []string
	// IgnoreCase compares without regard to letter case.
	IgnoreCase bool
}

// attributePrefix starts a Match path that means a CloudEvents attribute. It
// is the prefix of the headers that carry them.
const attributePrefix = "ce-"

const (
	maxPath  = maxDepth // names of a path; deeper ones could never be reached
	maxPaths = 8        // paths of a field
)

// source is a path of a field, and the slot where its value is found.
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

// name is what errors call the field when it is not there.
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
	tree    *node // of the dotted paths
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
		return nil, fmt.Errorf("%w: %s.fields: %s is read as a field, and another path goes through it; it can be a text or an object, not both",
			ErrMapping, s.section, quoted(path))
	}
	return r, nil
}

func (s shape) unknown(fields map[string]Field) (problems []error) {
	names := s.names()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(names, name) {
			problems = append(problems, fmt.Errorf("%w: %s.fields: no field is called %s; the fields are %s",
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
		return errors.New("has a path and a value; give one of them")
	case f.Value != "" && i == fieldTradeID:
		return errors.New("is a value that is the same for every event; each capture has a trade of its own, give its path")
	case f.Value == "" && len(f.Paths) == 0:
		return errors.New("the path is empty; write member names joined by dots, like payment.trade_id, or a JSONPath, like $.payments[0].id")
	case len(f.Paths) > maxPaths:
		return fmt.Errorf("has %d paths, at most %d are tried", len(f.Paths), maxPaths)
	case f.Unit != "" && len(allowed) == 0:
		return fmt.Errorf("has the unit %s; only amounts and times have one", quoted(string(f.Unit)))
	case f.Unit != "" && !slices.Contains(allowed, f.Unit):
		return fmt.Errorf("has the unit %s; it must be %s or %s", quoted(string(f.Unit)), allowed[0], allowed[1])
	}
	for _, path := range f.Paths {
		if strings.HasPrefix(path, attributePrefix) {
			return fmt.Errorf("%s: a CloudEvents attribute can be matched, but no field is read from it", quoted(path))
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
