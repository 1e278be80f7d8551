// Package tracing continues the trace of a job's publisher through the worker and
// into the ledger's events. It wraps the gateway and the ledger that the worker
// uses; the worker does not depend on it.
//
// If no collector is configured, no spans are created. The publisher's trace
// context is still stored with the ledger's events.
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

// flushTimeout bounds how long Stop takes to send the last spans.
const flushTimeout = 5 * time.Second

// scope is the instrumentation scope of the spans.
const scope = "github.com/capture-worker/capture-worker"

// defaultService is the default of service.name.
const defaultService = "capture-worker"

// Options say where spans are sent. The SDK reads further settings from the
// standard environment: OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_*, OTEL_SPAN_*. The
// zero value creates no spans.
type Options struct {
	// Endpoint of a collector for OTLP over HTTP; "" creates no spans. The default
	// path is /v1/traces.
	Endpoint string
	// Sample is the fraction of the traces starting here that are recorded. With 1,
	// OTEL_TRACES_SAMPLER decides; its default is all.
	Sample   float64
	Service  string // service.name; default: OTEL_SERVICE_NAME, or capture-worker
	Version  string
	Instance string            // service.instance.id
	Headers  map[string]string // for the collector; may contain secrets
	Log      *slog.Logger
}

// Tracing creates spans. The zero value creates none and only continues the traces
// of publishers. It is safe for concurrent use.
type Tracing struct {
	tracer   trace.Tracer // nil: no spans
	provider *sdktrace.TracerProvider
	client   *client
}

// Start sets up tracing. It does not connect to the collector, so a collector that
// is not reachable delays no job. Without an endpoint it returns a zero Tracing.
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
	attributes, err := newResource(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("setting up traces: %w", err)
	}
	logSDKErrors(o.Log)
	options := []sdktrace.TracerProviderOption{sdktrace.WithBatcher(exporter), sdktrace.WithResource(attributes)}
	if o.Sample < 1 {
		options = append(options, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Sample))))
	}
	provider := sdktrace.NewTracerProvider(options...)
	tracer := provider.Tracer(scope, trace.WithInstrumentationVersion(o.Version), trace.WithSchemaURL(semconv.SchemaURL))
	return &Tracing{tracer: tracer, provider: provider, client: client}, nil
}

// newResource describes this process. The environment names the service only if
// the configuration does not.
func newResource(ctx context.Context, o Options) (*resource.Resource, error) {
	base := resource.WithAttributes(semconv.ServiceName(defaultService), semconv.ServiceVersion(o.Version), semconv.ServiceInstanceID(o.Instance))
	options := []resource.Option{base, resource.WithTelemetrySDK(), resource.WithFromEnv()}
	if o.Service != "" {
		options = append(options, resource.WithAttributes(semconv.ServiceName(o.Service)))
	}
	return resource.New(ctx, options...)
}

// lossInterval is how often the loss of spans is logged.
const lossInterval = 30 * time.Second

// logSDKErrors makes the SDK log its errors to log. At lower levels it would log
// its settings, which may contain secrets.
func logSDKErrors(log *slog.Logger) {
	limit := ratelog.New(lossInterval)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if suppressed, ok := limit.Allow("spans lost"); ok {
			log.Warn("spans lost", "error", err, "suppressed", suppressed)
		}
	}))
	otel.SetLogger(logr.FromSlogHandler(onlyErrors{log.Handler()}))
}

type onlyErrors struct{ slog.Handler }

func (h onlyErrors) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && h.Handler.Enabled(ctx, level)
}

// Stop sends the remaining spans within a bound and stops all goroutines. After an
// error some spans may be lost.
func (t *Tracing) Stop() error {
	if t.tracer == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	err := t.provider.Shutdown(ctx)
	// Abort a request that is still under way.
	t.client.abort()
	if !t.client.waitStopped(time.Second) {
		err = errors.Join(err, errors.New("a request to the collector is still under way"))
	}
	if err != nil {
		return fmt.Errorf("sending the last spans: %w", err)
	}
	return nil
}
