// Package finding has the one type for the result of a check: of the
// configuration, of a stream, of everything that a worker needs.
package finding

// Severity is how bad a finding is.
type Severity string

// The severities. With an error a worker does not start or does not work; a
// warning needs an operator's judgement.
const (
	OK      Severity = "ok"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Finding is the result of one check.
type Finding struct {
	Severity Severity `json:"level"`
	Area     string   `json:"area,omitempty"` // the part that was checked, or the key of a setting
	What     string   `json:"found"`          // names the stream, the setting or the service
	Fix      string   `json:"do,omitempty"`   // what the operator can do
}

// String returns the finding in one line: what was found and the fix.
func (f Finding) String() string {
	if f.Fix == "" {
		return f.What
	}
	return f.What + "; " + f.Fix
}

// Count returns how many findings have the severity.
func Count(found []Finding, s Severity) int {
	n := 0
	for _, f := range found {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Worst returns the worst severity of the findings, OK if there are none.
func Worst(found []Finding) Severity {
	for _, s := range []Severity{Error, Warning} {
		if Count(found, s) > 0 {
			return s
		}
	}
	return OK
}
