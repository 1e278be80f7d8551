package tracing

import (
	"fmt"
	"net/url"
	"strings"
)

// HeadersFromEnv returns the headers for the collector from the standard variable
// OTEL_EXPORTER_OTLP_TRACES_HEADERS or, if that is empty,
// OTEL_EXPORTER_OTLP_HEADERS: name=value,name=value, with percent-encoded values.
// Errors do not contain the values, which are mostly secret.
func HeadersFromEnv(getenv func(string) string) (map[string]string, error) {
	name := "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
	text := getenv(name)
	if text == "" {
		name = "OTEL_EXPORTER_OTLP_HEADERS"
		text = getenv(name)
	}
	headers := map[string]string{}
	for i, pair := range strings.Split(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil || !plain(key, "!#$%&'*+-.^_`|~") || strings.ContainsFunc(value, control) {
			return nil, fmt.Errorf("%s: entry %d is not name=value with the value percent-encoded", name, i+1)
		}
		headers[key] = value
	}
	return headers, nil
}

// plain reports whether s consists of letters, digits and the given others.
func plain(s, others string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !alnum && !strings.ContainsRune(others, r)
	})
}

func control(r rune) bool { return r < ' ' || r == 0x7f }
