package capture

import (
	"strconv"
	"strings"
)

// maxQuoted bounds how much untrusted text an error repeats.
const maxQuoted = 48

// quoted makes untrusted text safe for a log line: quoted, in ASCII, cut.
func quoted(s string) string {
	if len(s) <= maxQuoted {
		return strconv.QuoteToASCII(s)
	}
	return strconv.QuoteToASCII(strings.ToValidUTF8(s[:maxQuoted], "")) + "…"
}
