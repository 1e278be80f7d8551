package capture

import (
	"strconv"
	"strings"
)

// maxQuoted bounds what of a stranger's text an error repeats.
const maxQuoted = 48

// quoted makes a stranger's text safe for a log line: quoted, in ASCII, cut.
func quoted(s string) string {
	if len(s) <= maxQuoted {
		return strconv.QuoteToASCII(s)
	}
	return strconv.QuoteToASCII(strings.ToValidUTF8(s[:maxQuoted], "")) + "…"
}
