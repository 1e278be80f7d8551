package tracing_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// message is a delivery with the methods that tracing uses.
type message struct {
	jetstream.Msg
	header nats.Header
	body   string
}

func (m message) Headers() nats.Header { return m.header }
func (m message) Data() []byte         { return []byte(m.body) }
func (m message) Subject() string      { return "capture.jobs.shipped" }

func (m message) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{Sequence: jetstream.SequencePair{Stream: 7}, NumDelivered: 2}, nil
}

// collector is an OTLP collector.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	spans    []*tracepb.Span
	service  map[string]string // attributes of the resource
	headers  http.Header
	path     string
	requests int
	// answer, if set, replies instead of the collector, and reports whether it has.
	answer func(w http.ResponseWriter, r *http.Request, request int) bool
}

func newCollector(t *testing.T) *collector {
	c := &collector{service: map[string]string{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	c.requests++
	n, answer := c.requests, c.answer
	c.headers, c.path = r.Header, r.URL.Path
	c.mu.Unlock()
	if answer != nil && answer(w, r, n) {
		return
	}
	var data tracepb.TracesData
	if err != nil || proto.Unmarshal(body, &data) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range data.ResourceSpans {
		for _, a := range of.Resource.Attributes {
			c.service[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range of.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

// span returns the only span with the name.
func (c *collector) span(t *testing.T, name string) *tracepb.Span {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []*tracepb.Span
	var names []string
	for _, s := range c.spans {
		names = append(names, s.Name)
		if s.Name == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		slices.Sort(names)
		t.Fatalf("%d spans %q, want one; there are %q", len(found), name, names)
	}
	return found[0]
}

func (c *collector) count() (spans, requests int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.spans), c.requests
}

// attributes returns the attributes of a span as texts.
func attributes(s *tracepb.Span) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes {
		switch v := a.Value; {
		case v.GetStringValue() != "":
			all[a.Key] = v.GetStringValue()
		default:
			b, _ := json.Marshal(v.GetIntValue())
			all[a.Key] = string(b)
		}
	}
	return all
}

func wantAttributes(t *testing.T, s *tracepb.Span, want map[string]string) {
	t.Helper()
	got := attributes(s)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("span %q: %s is %q, want %q", s.Name, name, got[name], value)
		}
	}
}
