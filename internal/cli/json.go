package cli

import (
	"encoding/json"
	"io"
)

// writeJSON writes one document, indented for who reads it.
func writeJSON(w io.Writer, document any) error {
	enc := jsonLines(w)
	enc.SetIndent("", "  ")
	return enc.Encode(document)
}

// jsonLines writes a line for each value. It is read by programs and in
// terminals, not in a page of HTML: & stays &.
func jsonLines(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}
