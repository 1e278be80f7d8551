package config

import (
	"fmt"
	"strings"

	"github.com/capture-worker/capture-worker/internal/finding"
)

// problem returns a finding about a key (or a variable, or a file). The value is as
// given, "" for none, and never a secret; from is where it came from, "" if it was
// not set; wrong is what is wrong, or what is allowed.
func problem(key, value, from, wrong, fix string) finding.Finding {
	var b strings.Builder
	b.WriteString(key)
	if value != "" {
		fmt.Fprintf(&b, " is %q", cut(value))
	}
	if from != "" {
		fmt.Fprintf(&b, " (%s)", from)
	}
	b.WriteString(": " + wrong)
	return finding.Finding{Severity: finding.Error, Area: key, What: b.String(), Fix: fix}
}

// NewProblem returns an error of type Problems about the value of one key, for
// conditions that only a caller of this package knows.
func NewProblem(key, value, wrong, fix string) error {
	return Problems{problem(key, value, "", wrong, fix)}
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
type Problems []finding.Finding

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
