package gateway

import (
	"fmt"
	"io"
	"log/slog"
)

const hidden = "[hidden]"

// Secret is the cashier account's secret_key. It prints as "[hidden]" (as "" if it is
// empty) with fmt, slog, encoding/json and every encoder that uses
// encoding.TextMarshaler. string(s) is the key itself.
//
// A Secret in an unexported field of a struct is printed by %v of the struct, because
// fmt does not call methods there: use an exported field or a pointer.
type Secret string

// String returns "[hidden]", or "".
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format hides the key from every verb; verbs such as %d would otherwise print it in
// their error text.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	// fmt.State records the error.
	_, _ = io.WriteString(f, text)
}

// GoString returns the text for %#v.
func (s Secret) GoString() string { return `gateway.Secret("` + s.String() + `")` }

// LogValue returns the value for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns the text for encoding/json and other encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
