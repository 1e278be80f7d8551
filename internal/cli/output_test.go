package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/printable"
)

func TestCounted(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"1 query": counted(1, "query"), "2 queries": counted(int64(2), "query"), "0 jobs": counted(uint64(0), "job"), "1 trade": counted(1, "trade"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A line of the log is one line, in either format, whatever its attributes are.
func TestLogsEscapeHostileTexts(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		for _, text := range hostileTexts {
			var out bytes.Buffer
			newLogger(config.Log{Level: "info", Format: format}, printable.NewWriter(&out)).Info("job dead-lettered", "subject", text, "error", errors.New(text))
			line, ok := strings.CutSuffix(out.String(), "\n")
			if !ok || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsGraphic(r) }) {
				t.Errorf("%s: %q is logged as %q", format, text, out.String())
			}
			if format == "json" && !json.Valid(out.Bytes()) {
				t.Errorf("%q is no JSON", out.String())
			}
		}
	}
}
