package service

import (
	"context"
	"log/slog"
	"os"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/tracing"
)

// startTracing sets up tracing if tracing.endpoint names a collector. stop sends
// the remaining spans.
func startTracing(ctx context.Context, c config.Config, version string, log *slog.Logger) (traces *tracing.Tracing, stop func(), err error) {
	headers, err := tracing.HeadersFromEnv(os.Getenv)
	if err != nil && c.Tracing.Endpoint != "" {
		return nil, nil, config.NewProblem("OTEL_EXPORTER_OTLP_HEADERS", "", err.Error(), "correct the variable, or leave it out")
	}
	traces, err = tracing.Start(ctx, tracing.Options{
		Endpoint: c.Tracing.Endpoint, Sample: c.Tracing.Sample, Service: c.Tracing.Service,
		Version: version, Instance: c.Worker.Name, Headers: headers, Log: log,
	})
	if err != nil {
		return nil, nil, err
	}
	if c.Tracing.Endpoint != "" {
		log.InfoContext(ctx, "sending traces", "endpoint", c.Tracing.Endpoint, "sample", c.Tracing.Sample)
	}
	return traces, func() {
		if err := traces.Stop(); err != nil {
			log.WarnContext(ctx, "some spans may be lost", "error", err)
		}
	}, nil
}
