package capture

import (
	"encoding/json"
	"strings"
)

// AppendJSON appends a string as encoding/json writes it, with < > & escaped,
// and without its cost where the string is plain, as almost all are.
func AppendJSON(b []byte, s string) []byte {
	for i := range len(s) {
		if !plain[s[i]] {
			text, _ := json.Marshal(s) // no string fails
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// plain are the bytes that encoding/json writes as they are: printable ASCII
// but for the signs that it escapes.
var plain = func() (is [256]bool) {
	for c := byte(' '); c <= '~'; c++ {
		is[c] = strings.IndexByte(`"\<>&`, c) < 0
	}
	return is
}()
