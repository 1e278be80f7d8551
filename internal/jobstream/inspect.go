package jobstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/finding"
)

// Inventory holds the existing streams and consumers of a worker, and the findings
// about them. A nil member does not exist yet; Ensure creates it.
type Inventory struct {
	Streams   []*jetstream.StreamInfo   // in the order of Streams
	Consumers []*jetstream.ConsumerInfo // in the order of Config.Consumers
	Findings  []finding.Finding
}

// Inspect compares the existing streams and consumers with what the worker needs.
// It creates and changes nothing.
func Inspect(ctx context.Context, js jetstream.JetStream, cfg Config, l Limits) (Inventory, error) {
	wanted := Streams(cfg)
	found := Inventory{
		Streams:   make([]*jetstream.StreamInfo, len(wanted)),
		Consumers: make([]*jetstream.ConsumerInfo, len(cfg.Consumers)),
	}
	for i, w := range wanted {
		stream, err := present(js.Stream(ctx, w.Config.Name))
		if err != nil {
			return found, fmt.Errorf("stream %s: %w", w.Config.Name, err)
		}
		if stream == nil {
			continue
		}
		found.Streams[i] = stream.CachedInfo()
		found.add(w.check(found.Streams[i].Config, cfg, l))
		found.add(CheckReplicas(found.Streams[i].Config, cfg.Replicas))
		if i > 0 {
			continue
		}
		if err := found.inspectConsumers(ctx, stream, cfg, l); err != nil {
			return found, err
		}
	}
	return found, nil
}

func (i *Inventory) add(found []finding.Finding) { i.Findings = append(i.Findings, found...) }

// missing returns an error if something does not exist.
func (i *Inventory) missing(cfg Config) error {
	for n, wanted := range Streams(cfg) {
		if i.Streams[n] == nil {
			return fmt.Errorf("stream %s: %w", wanted.Config.Name, jetstream.ErrStreamNotFound)
		}
	}
	for n, c := range cfg.Consumers {
		if i.Consumers[n] == nil {
			return fmt.Errorf("consumer %s of stream %s: %w", c.Name, cfg.Jobs, jetstream.ErrConsumerNotFound)
		}
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
