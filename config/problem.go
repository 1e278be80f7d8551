package config

import (
	"fmt"
	"strings"
)

// Problem is one error in the configuration.
type Problem struct {
	Key   string // the key, or a variable or file
	Value string // as given, "" for none; a secret is never here
	From  string // where the value came from, "" if it was not set
	Wrong string // what is wrong, or what is allowed
	Do    string // what to do
}

// String returns the problem in one line.
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

// maxShown limits a value in a message.
const maxShown = 200

func cut(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}

// Problems is the error of Load and Validate: every problem at once. It is never
// empty.
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

// asError returns nil if there are no problems.
func (ps Problems) asError() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// From is the kind of source of a value.
type From string

// The sources; the first that has a value wins.
const (
	FromFlag    From = "flag"
	FromEnv     From = "environment"
	FromFile    From = "file"
	FromDefault From = "default"
)

// Origin is where a value came from.
type Origin struct {
	From From
	Name string // the flag, the variable or the file; "" for a default
}

// String is "environment CAPTURE_NATS_URL", "flag --nats-url", "file
// capture.yaml" or "default".
func (o Origin) String() string {
	if o.Name == "" {
		return string(o.From)
	}
	return string(o.From) + " " + o.Name
}

// Origin returns where the value of a key came from. A Config that Load did not
// read has only defaults.
func (c Config) Origin(key string) Origin {
	if o, ok := c.origins[key]; ok {
		return o
	}
	return Origin{From: FromDefault}
}
