package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Key   string // the key, or what stands in its place: a variable, a file
	Value string // as given, "" for none; a secret is never here
	From  string // where the value came from, "" if it was not set
	Wrong string // what is wrong, or what is allowed
	Do    string // what to do
}

// String is the problem in one line.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Key)
	if p.Value != "" {
		fmt.Fprintf(&b, " is %q", cut(p.Value))
	}
	if p.From != "" {
		fmt.Fprintf(&b, " (%s)", p.From)
	}
	b.WriteString(": " + p.Wrong)
	if p.Do != "" {
		b.WriteString("; " + p.Do)
	}
	return b.String()
}

// maxShown bounds a value in a message.
const maxShown = 200

func cut(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}

// Problems is the error of Load and Validate: everything that is wrong, so
// that one look is enough. It is never empty.
type Problems []Problem

// Error lists the problems, one a line.
func (ps Problems) Error() string {
	if len(ps) == 1 {
		return "configuration: " + ps[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "configuration: %d problems", len(ps))
	for _, p := range ps {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// asError is nil for no problems.
func (ps Problems) asError() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}
