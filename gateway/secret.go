package gateway

import (
	"fmt"
	"io"
	"log/slog"
)

const hidden = "[hidden]"

// Secret is the cashier account's secret_key. It shows itself as "[hidden]"
// (as "" where there is none) to fmt, slog and every encoder that asks for
// text, encoding/json among them. string(s) is the key itself.
//
// It cannot hide from %v of a struct that holds it in an unexported field: fmt
// does not call methods there. Keep it exported, or behind a pointer.
type Secret string

// String returns "[hidden]", or "".
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format covers every verb; %d, say, would otherwise print the key as the value
// that it cannot format.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	// fmt.State keeps the error itself.
	_, _ = io.WriteString(f, text)
}

// GoString is what %#v prints.
func (s Secret) GoString() string { return `gateway.Secret("` + s.String() + `")` }

// LogValue is what slog records.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what encoding/json and other encoders write.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
