package jobfile

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

const (
	maxExamples = 3   // rows shown per fault
	maxKinds    = 200 // different faults
	maxPlaces   = 3   // further places per fault
)

// faults collects the errors of the rows of a file: each kind of error with its
// count and its first rows, in limited memory.
type faults struct {
	kinds map[string]*fault
	order []*fault
}

type fault struct {
	rows     int
	last     Row
	examples []Row
	quiet    bool // notes, which are not faults
}

func (f *faults) add(r Row) { f.of(kindOf(r.Err)).see(r) }

func (f *faults) skipped(r Row) {
	kind := f.of("skipped")
	kind.quiet = true
	kind.see(r)
}

// kindOf returns the kind of a row's error, without the row's values.
func kindOf(err error) string {
	if bad, ok := errors.AsType[*capture.MalformedError](err); ok {
		return bad.Reason + " " + bad.Field
	}
	if errors.Is(err, errTwice) {
		return errTwice.Error()
	}
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return '0'
		}
		return c
	}, withoutQuoted(err.Error()))
}

// withoutQuoted removes the quoted values from an error.
func withoutQuoted(text string) string {
	parts := strings.Split(text, `"`)
	for i := 1; i < len(parts); i += 2 {
		parts[i] = ""
	}
	return strings.Join(parts, `"`)
}

func (f *faults) of(kind string) *fault {
	if len(f.kinds) >= maxKinds && f.kinds[kind] == nil {
		kind = "others"
	}
	found := f.kinds[kind]
	if found == nil {
		if f.kinds == nil {
			f.kinds = map[string]*fault{}
		}
		found = &fault{}
		f.kinds[kind] = found
		f.order = append(f.order, found)
	}
	return found
}

func (f *fault) see(r Row) {
	f.rows++
	r.Body = nil
	f.last = r
	if len(f.examples) < maxExamples+maxPlaces {
		f.examples = append(f.examples, r)
	}
}

// list writes the faults in the order of their first rows: a few rows of a kind on
// one line each, many rows on one line with their count.
func (f *faults) list(w io.Writer) {
	type entry struct {
		line int
		text string
	}
	var entries []entry
	for _, kind := range f.order {
		if kind.rows <= maxExamples {
			for _, r := range kind.examples {
				entries = append(entries, entry{r.Line, r.Place() + ": " + kind.say(r)})
			}
			continue
		}
		entries = append(entries, entry{kind.examples[0].Line, kind.summary()})
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return a.line - b.line })
	for _, e := range entries {
		fmt.Fprintln(w, e.text)
	}
}

func (f *fault) say(r Row) string {
	if f.quiet {
		return "skipped: " + Reason(r.Err)
	}
	return Reason(r.Err)
}

// summary returns one line about many rows.
func (f *fault) summary() string {
	var places []string
	for _, r := range f.examples {
		places = append(places, strings.TrimPrefix(r.Place(), "line "))
	}
	if f.rows > len(f.examples) {
		places = append(places, "… "+strings.TrimPrefix(f.last.Place(), "line "))
	}
	return fmt.Sprintf("%d rows (lines %s): %s", f.rows, strings.Join(places, ", "), f.say(f.examples[0]))
}
