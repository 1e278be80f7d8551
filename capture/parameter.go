package capture

import (
	"slices"
	"strings"
)

// signedParameters lists the parameters in the signed string of a capture call,
// where they are joined as name=value with &.
var signedParameters = []string{
	"amount", "currency", "description", "method", "notify_url", "request_id", "time", "trade_id", "user",
}

// SignsAsSeveral reports whether a value of a capture call contains &name= of one
// of the call's parameters, so that the signature could not tell the two apart.
func SignsAsSeveral(value string) bool { return NamesParameter(value, signedParameters) }

// NamesParameter reports whether text contains &name= with one of the names. The
// gateway's signature joins values without encoding, so such a text can be read as
// another parameter.
func NamesParameter(text string, names []string) bool {
	for rest := text; ; {
		i := strings.IndexByte(rest, '&')
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
		name, _, found := strings.Cut(rest, "=")
		if found && slices.Contains(names, name) {
			return true
		}
	}
}
