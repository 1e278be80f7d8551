package tracing

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header names of W3C Trace Context.
const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
)

// cePrefix is the prefix of CloudEvents attributes in headers.
const cePrefix = "ce-"

// Carrier is a propagation.TextMapCarrier for NATS headers. It matches names
// without regard to letter case: NATS keeps the case, and publishers write
// traceparent in all forms.
type Carrier map[string][]string

// Get returns the first value of a header, "" if there is none.
func (c Carrier) Get(name string) string {
	if values := c[name]; len(values) > 0 {
		return strings.TrimSpace(values[0])
	}
	for key, values := range c {
		if len(values) > 0 && strings.EqualFold(key, name) {
			return strings.TrimSpace(values[0])
		}
	}
	return ""
}

// Set replaces a header in any letter case.
func (c Carrier) Set(name, value string) {
	for key := range c {
		if strings.EqualFold(key, name) {
			delete(c, key)
		}
	}
	c[name] = []string{value}
}

// Keys returns the names.
func (c Carrier) Keys() []string {
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	return names
}

// publisherOf returns the trace context of a job: from the message headers, or
// from the CloudEvent in the message (its distributed tracing extension). It is
// invalid if there is none that can be parsed.
func publisherOf(header map[string][]string, body []byte) trace.SpanContext {
	c := Carrier(header)
	if sc := extract(c); sc.IsValid() {
		return sc
	}
	if parent := c.Get(cePrefix + traceparent); parent != "" {
		sc := extract(Carrier{traceparent: {parent}, tracestate: {c.Get(cePrefix + tracestate)}})
		if sc.IsValid() {
			return sc
		}
	}
	return fromCloudEvent(body)
}

// fromCloudEvent returns the trace context in a structured CloudEvent. A body that
// does not contain the name is not parsed.
func fromCloudEvent(body []byte) trace.SpanContext {
	if !bytes.Contains(body, []byte(`"traceparent"`)) {
		return trace.SpanContext{}
	}
	var event struct {
		Version     string `json:"specversion"`
		Traceparent string `json:"traceparent"`
		Tracestate  string `json:"tracestate"`
	}
	if json.Unmarshal(body, &event) != nil || event.Version == "" {
		return trace.SpanContext{}
	}
	return extract(Carrier{traceparent: {event.Traceparent}, tracestate: {event.Tracestate}})
}

func extract(c Carrier) trace.SpanContext {
	if len(c) == 0 {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), c))
}
