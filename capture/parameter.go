package capture

import (
	"slices"
	"strings"
)

// signedParameters are the names that stand in the signed string of a capture
// call, beside each other as name=value with & between.
var signedParameters = []string{
	"amount", "currency", "description", "method", "notify_url", "request_id", "time", "trade_id", "user",
}

// SignsAsSeveral reports whether a value of a capture call could be read as
// another of its parameters, because it holds &name= of one.
func SignsAsSeveral(value string) bool { return NamesParameter(value, signedParameters) }

// NamesParameter reports whether text holds &name= of one of the names. The
// gateway's signature joins values raw, so that such a text can be read as
// another parameter beside its own.
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
