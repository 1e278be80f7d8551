package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/capture-worker/capture-worker/internal/ratelog"
)

// flushBound bounds how long Stop waits for the last spans to be taken.
const flushBound = 5 * time.Second

// scope names the maker of the spans.
const scope = "github.com/capture-worker/capture-worker"

// defaultService is service.name where nobody says otherwise.
const defaultService = "capture-worker"

// Options say where spans go. What is not said here the SDK takes from the
// standard environment: OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_*, OTEL_SPAN_*.
type Options struct {
	// Endpoint of a collector for OTLP over HTTP; "" makes no spans. Without a
	// path, /v1/traces is meant.
	Endpoint string
	// Sample is the share of the traces beginning here that are kept. At 1 the
	// SDK decides: all, unless OTEL_TRACES_SAMPLER says otherwise.
	Sample   float64
	Service  string // service.name; "": OTEL_SERVICE_NAME, or capture-worker
	Version  string
	Instance string            // service.instance.id
	Headers  map[string]string // sent to the collector; may be secret
	Log      *slog.Logger
}

// Tracing makes spans, or none. It is safe for concurrent use.
type Tracing struct {
	tracer   trace.Tracer // nil: no spans are made
	provider *sdktrace.TracerProvider
	client   *client
}

// Start begins to make spans. Nothing is sent before there are some, so that a
// collector that is away keeps no job waiting. Where Options name no endpoint
// it returns a Tracing that only hands traces on.
func Start(ctx context.Context, o Options) (*Tracing, error) {
	if o.Endpoint == "" {
		return &Tracing{}, nil
	}
	client, err := newClient(o.Endpoint, o.Headers, o.Log)
	if err != nil {
		return nil, fmt.Errorf("setting up traces: %w", err)
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("setting up traces: %w", err)
	}
	about, err := describeUs(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("setting up traces: %w", err)
	}
	tell(o.Log)
	options := []sdktrace.TracerProviderOption{sdktrace.WithBatcher(exporter), sdktrace.WithResource(about)}
	if o.Sample < 1 {
		options = append(options, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Sample))))
	}
	provider := sdktrace.NewTracerProvider(options...)
	tracer := provider.Tracer(scope, trace.WithInstrumentationVersion(o.Version), trace.WithSchemaURL(semconv.SchemaURL))
	return &Tracing{tracer: tracer, provider: provider, client: client}, nil
}

// describeUs lets the environment name the service only where the
// configuration does not.
func describeUs(ctx context.Context, o Options) (*resource.Resource, error) {
	base := resource.WithAttributes(semconv.ServiceName(defaultService), semconv.ServiceVersion(o.Version), semconv.ServiceInstanceID(o.Instance))
	options := []resource.Option{base, resource.WithTelemetrySDK(), resource.WithFromEnv()}
	if o.Service != "" {
		options = append(options, resource.WithAttributes(semconv.ServiceName(o.Service)))
	}
	return resource.New(ctx, options...)
}

// troubleEvery is how often trouble with sending is told at most.
const troubleEvery = 30 * time.Second

// tell makes the SDK log where we do. Only errors: at lower levels it shows
// its settings.
func tell(log *slog.Logger) {
	said := ratelog.New(troubleEvery)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if _, worth := said.Allow("spans were lost"); worth {
			log.Warn("spans were lost", "error", err)
		}
	}))
	otel.SetLogger(logr.FromSlogHandler(onlyErrors{log.Handler()}))
}

type onlyErrors struct{ slog.Handler }

func (h onlyErrors) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && h.Handler.Enabled(ctx, level)
}

// Stop sends what is left, within a bound, and ends all that runs. The error
// says that some spans may be lost.
func (t *Tracing) Stop() error {
	if t.tracer == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushBound)
	defer cancel()
	err := t.provider.Shutdown(ctx)
	// What did not end in time ends now.
	t.client.abort()
	if !t.client.ended(time.Second) {
		err = errors.Join(err, errors.New("a request to the collector does not end"))
	}
	if err != nil {
		return fmt.Errorf("sending the last spans: %w", err)
	}
	return nil
}
