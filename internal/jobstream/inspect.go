package jobstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/finding"
)

// Inventory is what exists of the streams and consumers of a worker, and what of
// it does not fit. A nil member does not exist yet; Ensure creates it.
type Inventory struct {
	Jobs      *jetstream.StreamInfo
	Consumers []*jetstream.ConsumerInfo // in the order of Config.Consumers
	DLQ       *jetstream.StreamInfo
	Findings  []finding.Finding
}

// Inspect compares the existing streams and consumers with what the worker needs.
// It creates and changes nothing.
func Inspect(ctx context.Context, js jetstream.JetStream, cfg Config, l Limits) (Inventory, error) {
	found := Inventory{Consumers: make([]*jetstream.ConsumerInfo, len(cfg.Consumers))}
	jobs, err := present(js.Stream(ctx, cfg.Jobs))
	if err != nil {
		return found, fmt.Errorf("stream %s: %w", cfg.Jobs, err)
	}
	if jobs != nil {
		found.Jobs = jobs.CachedInfo()
		found.add(checkSubjects(found.Jobs.Config, cfg))
		found.add(checkJobs(found.Jobs.Config, l))
		found.add(CheckReplicas(found.Jobs.Config, cfg.Replicas))
		if err := found.inspectConsumers(ctx, jobs, cfg, l); err != nil {
			return found, err
		}
	}
	dlq, err := present(js.Stream(ctx, cfg.DLQ))
	if err != nil {
		return found, fmt.Errorf("stream %s: %w", cfg.DLQ, err)
	}
	if dlq != nil {
		found.DLQ = dlq.CachedInfo()
		found.add(checkDLQ(found.DLQ.Config))
		found.add(CheckReplicas(found.DLQ.Config, cfg.Replicas))
	}
	return found, nil
}

func (i *Inventory) add(found []finding.Finding) { i.Findings = append(i.Findings, found...) }

// missing returns an error if something does not exist.
func (i *Inventory) missing(cfg Config) error {
	if i.Jobs == nil {
		return fmt.Errorf("stream %s: %w", cfg.Jobs, jetstream.ErrStreamNotFound)
	}
	for n, c := range cfg.Consumers {
		if i.Consumers[n] == nil {
			return fmt.Errorf("consumer %s of stream %s: %w", c.Name, cfg.Jobs, jetstream.ErrConsumerNotFound)
		}
	}
	if i.DLQ == nil {
		return fmt.Errorf("stream %s: %w", cfg.DLQ, jetstream.ErrStreamNotFound)
	}
	return nil
}

func (i *Inventory) inspectConsumers(ctx context.Context, jobs jetstream.Stream, cfg Config, l Limits) error {
	for n, c := range cfg.Consumers {
		consumer, err := jobs.Consumer(ctx, c.Name)
		switch {
		case err == nil:
			i.Consumers[n] = consumer.CachedInfo()
			i.add(checkConsumer(i.Consumers[n].Config, l))
			i.add(checkFilter(i.Consumers[n].Config, c))
		case !errors.Is(err, jetstream.ErrConsumerNotFound):
			return fmt.Errorf("consumer %s of stream %s: %w", c.Name, cfg.Jobs, err)
		}
	}
	return nil
}

// present returns nil for a stream that does not exist.
func present(s jetstream.Stream, err error) (jetstream.Stream, error) {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	return s, err
}
