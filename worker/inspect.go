package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Inventory is what of a worker's streams is there, and what of it does not
// fit. A nil member does not exist yet; run creates it.
type Inventory struct {
	Jobs      *jetstream.StreamInfo
	Consumers []*jetstream.ConsumerInfo // in the order of StreamsConfig.Consumers
	DLQ       *jetstream.StreamInfo
	Problems  []Problem
}

// Inspect is CheckLimits for a broker on which something may still be missing:
// it looks at what is there, and creates and changes nothing.
func Inspect(ctx context.Context, js jetstream.JetStream, cfg StreamsConfig, l Limits) (Inventory, error) {
	found := Inventory{Consumers: make([]*jetstream.ConsumerInfo, len(cfg.Consumers))}
	jobs, err := present(js.Stream(ctx, cfg.Jobs))
	if err != nil {
		return found, fmt.Errorf("stream %s: %w", cfg.Jobs, err)
	}
	if jobs != nil {
		found.Jobs = jobs.CachedInfo()
		found.Problems = append(found.Problems, checkJobs(found.Jobs.Config, l)...)
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
		found.Problems = append(found.Problems, checkDLQ(found.DLQ.Config)...)
	}
	return found, nil
}

func (i *Inventory) inspectConsumers(ctx context.Context, jobs jetstream.Stream, cfg StreamsConfig, l Limits) error {
	for n, c := range cfg.Consumers {
		consumer, err := jobs.Consumer(ctx, c.Name)
		switch {
		case err == nil:
			i.Consumers[n] = consumer.CachedInfo()
			i.Problems = append(i.Problems, checkConsumer(i.Consumers[n].Config, l)...)
		case !errors.Is(err, jetstream.ErrConsumerNotFound):
			return fmt.Errorf("consumer %s of stream %s: %w", c.Name, cfg.Jobs, err)
		}
	}
	return nil
}

// present takes a missing stream for no error.
func present(s jetstream.Stream, err error) (jetstream.Stream, error) {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	return s, err
}
