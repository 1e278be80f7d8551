package tracing_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/internal/tracing"
)

// oneSpan creates a span and stops tracing.
func oneSpan(t *testing.T, traces *tracing.Tracing) error {
	t.Helper()
	traces.Gateway(fixed{&capture.Answer{Kind: capture.AnswerDone}}, "https://g.example/P").Query(t.Context(), "t")
	return traces.Stop()
}

func TestResourceAndEndpoint(t *testing.T) {
	for _, tt := range []struct{ name, service, env, path, want, wantPath string }{
		{"default", "", "", "", "capture-worker", "/v1/traces"},
		{"of the environment", "", "env-name", "/", "env-name", "/v1/traces"},
		{"of the configuration", "shop", "env-name", "/otlp/here", "shop", "/otlp/here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("OTEL_SERVICE_NAME", tt.env)
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
			c := newCollector(t)
			traces := startTracing(t, c, func(o *tracing.Options) {
				o.Service, o.Headers = tt.service, map[string]string{"Api-Key": "k"}
				o.Endpoint += tt.path
			})
			if err := oneSpan(t, traces); err != nil {
				t.Fatal(err)
			}
			c.span(t, "POST v3.QueryOrder")
			want := map[string]string{"service.name": tt.want, "service.version": "v1", "service.instance.id": "w", "deployment.environment.name": "test"}
			for name, value := range want {
				if got := c.service[name]; got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
			if c.path != tt.wantPath || c.headers.Get("Api-Key") != "k" || c.headers.Get("Content-Type") != "application/x-protobuf" {
				t.Errorf("sent to %s with %v", c.path, c.headers)
			}
		})
	}
}

func TestCollectorErrors(t *testing.T) { // alone: the SDK has one error handler for the process
	secret := "collector-key-8c1f"
	for _, tt := range []struct {
		name     string
		answer   func(w http.ResponseWriter, r *http.Request, request int) bool
		requests int
		err, log string
	}{
		{"busy twice", func(w http.ResponseWriter, _ *http.Request, n int) bool {
			if n <= 2 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return n <= 2
		}, 3, "", ""},
		{"refuses, and echoes", func(w http.ResponseWriter, r *http.Request, _ int) bool {
			http.Error(w, r.Header.Get("Api-Key"), http.StatusUnauthorized)
			return true
		}, 1, "", "the collector replied with HTTP 401"},
		{"sends us elsewhere", func(w http.ResponseWriter, r *http.Request, _ int) bool {
			http.Redirect(w, r, "/elsewhere?"+r.Header.Get("Api-Key"), http.StatusTemporaryRedirect)
			return true
		}, 1, "", "the collector replied with HTTP 307"},
		{"takes a part", func(w http.ResponseWriter, r *http.Request, _ int) bool {
			_, _ = w.Write([]byte{0x0a, 0x04, 0x08, 0x03, 0x12, 0x00})
			return true
		}, 1, "", "spans=3"},
		{"answers nonsense", func(w http.ResponseWriter, r *http.Request, _ int) bool {
			_, _ = w.Write([]byte(r.Header.Get("Api-Key")))
			return true
		}, 1, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log processtest.Output
			c := newCollector(t)
			c.answer = tt.answer
			traces := startTracing(t, c, func(o *tracing.Options) {
				o.Headers = map[string]string{"Api-Key": secret}
				o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			err := oneSpan(t, traces)
			output := fmt.Sprint(err) + log.String()
			if _, n := c.count(); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			if !strings.Contains(output, tt.log) {
				t.Errorf("output %q, want %q", output, tt.log)
			}
			if strings.Contains(output, secret) {
				t.Errorf("the collector's key is shown: %s", output)
			}
		})
	}
}

// A collector that is down or hangs delays no job, and Stop only for its bound.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	c := newCollector(t)
	c.answer = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		return true
	}
	t.Cleanup(func() { close(hang) })
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	for name, url := range map[string]string{"hangs": c.URL, "away": away.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			traces := startTracing(t, c, func(o *tracing.Options) { o.Endpoint = url })
			begin := time.Now()
			err := oneSpan(t, traces)
			if took := time.Since(begin); took > 30*time.Second {
				t.Errorf("the stop took %s", took)
			}
			if name == "hangs" && err == nil {
				t.Error("no error for lost spans")
			}
		})
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"collector:4317", "ftp://h", "http://", "http://[::1"} {
		if _, err := tracing.Start(t.Context(), tracing.Options{Endpoint: endpoint, Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("%q is taken for an address", endpoint)
		}
	}
}

func TestHeadersFromEnv(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, traces, all, want string
		bad                     bool
	}{
		{"none", "", "", "map[]", false},
		{"some", "", "api-key=a%20b, x = y=z ,", "map[api-key:a b x:y=z]", false},
		{"of traces alone", "a=1", "b=2", "map[a:1]", false},
		{"no value", "", "s3cret", "", true},
		{"no name", "", "=s3cret", "", true},
		{"a name with a space", "", "a b=s3cret", "", true},
		{"bad escape", "", "a=s3cret%zz", "", true},
		{"a line break", "", "a=s3cret%0d%0ab:c", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tracing.HeadersFromEnv(func(name string) string {
				return map[string]string{"OTEL_EXPORTER_OTLP_TRACES_HEADERS": tt.traces, "OTEL_EXPORTER_OTLP_HEADERS": tt.all}[name]
			})
			switch {
			case tt.bad && (err == nil || strings.Contains(err.Error(), "s3cret")):
				t.Errorf("error is %v", err)
			case !tt.bad && (err != nil || fmt.Sprint(got) != tt.want):
				t.Errorf("got %v, %v, want %s", got, err, tt.want)
			}
		})
	}
}

// gRPC would double the size of the binary, and is not used.
func TestNoGRPCInTheProgram(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/capture-worker")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "go.opentelemetry.io/otel/sdk/trace") {
		t.Fatal("the list of packages is not the program's")
	}
	for name := range strings.Lines(string(out)) {
		if strings.HasPrefix(name, "google.golang.org/grpc") || strings.Contains(name, "grpc-gateway") {
			t.Errorf("the program contains %s", name)
		}
	}
}
