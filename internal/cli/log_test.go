package cli

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/config"
)

// TestDurationsInLogsHaveUnits also tests durations in groups and in the
// attributes of a derived logger.
func TestDurationsInLogsHaveUnits(t *testing.T) {
	t.Parallel()
	for format, want := range map[string][]string{
		"json": {`"after":"1.5s"`, `"wait":"2m0s"`, `"latency":"20ms"`, `"tries":1500000000`, `"error":"no answer"`},
		"text": {`after=1.5s`, `wait=2m0s`, `call.latency=20ms`, `tries=1500000000`, `error="no answer"`},
	} {
		var out strings.Builder
		log := newLogger(config.Log{Level: "info", Format: format}, &out).With("wait", 2*time.Minute)
		log.Info("processing failed", "after", 1500*time.Millisecond, "tries", 1_500_000_000, "error", errors.New("no answer"),
			slog.Group("call", "latency", 20*time.Millisecond))
		for _, attribute := range want {
			if !strings.Contains(out.String(), attribute) {
				t.Errorf("%s: %s is not in %s", format, attribute, out.String())
			}
		}
	}
}
