package capture

import (
	"encoding/json"
	"strings"
)

// AppendJSON appends a string as encoding/json writes it, with < > & escaped. A
// string of plain characters, as almost all are, is appended without the cost of
// encoding/json.
func AppendJSON(b []byte, s string) []byte {
	for i := range len(s) {
		if !plain[s[i]] {
			text, _ := json.Marshal(s) // encoding a string never fails
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// plain holds the bytes that encoding/json does not escape: printable ASCII except
// for quotes, the backslash and < > &.
var plain = func() (is [256]bool) {
	for c := byte(' '); c <= '~'; c++ {
		is[c] = strings.IndexByte(`"\<>&`, c) < 0
	}
	return is
}()
