package capture

import (
	"strconv"
	"strings"
)

// maxQuoted is the amount of untrusted text that an error repeats, in bytes.
const maxQuoted = 48

// quoted returns untrusted text in a form that is safe for a log line: quoted, in
// ASCII, cut.
func quoted(s string) string {
	if len(s) <= maxQuoted {
		return strconv.QuoteToASCII(s)
	}
	return strconv.QuoteToASCII(strings.ToValidUTF8(s[:maxQuoted], "")) + "…"
}
