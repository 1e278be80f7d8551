package jobstream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/finding"
)

// Inventory holds the existing streams and consumers of a worker, and the findings
// about them. A nil member does not exist yet; Ensure creates it.
type Inventory struct {
	Streams   []*jetstream.StreamInfo   // in the order of Streams
	Consumers []*jetstream.ConsumerInfo // in the order of Config.Consumers
	// Withdrawals is the consumer of the withdrawals.
	Withdrawals *jetstream.ConsumerInfo
	Findings    []finding.Finding
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
		if err := found.inspectConsumers(ctx, stream, cfg, l); err != nil {
			return found, err
		}
	}
	return found, nil
}

// inspectConsumers inspects those consumers that the stream is to have.
func (i *Inventory) inspectConsumers(ctx context.Context, stream jetstream.Stream, cfg Config, l Limits) (err error) {
	name := stream.CachedInfo().Config.Name
	if name == cfg.Jobs {
		for n, c := range cfg.Consumers {
			if i.Consumers[n], err = i.inspectConsumer(ctx, stream, c, l); err != nil {
				return err
			}
		}
	}
	if name == cfg.Withdrawals.Stream {
		i.Withdrawals, err = i.inspectConsumer(ctx, stream, cfg.Withdrawals.consumer(), l)
	}
	return err
}

func (i *Inventory) add(found []finding.Finding) { i.Findings = append(i.Findings, found...) }

// HasStream reports whether a stream of that name was found.
func (i *Inventory) HasStream(name string) bool {
	return slices.ContainsFunc(i.Streams, func(s *jetstream.StreamInfo) bool { return s != nil && s.Config.Name == name })
}

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
	if w := cfg.Withdrawals; w.Stream != "" && i.Withdrawals == nil {
		return fmt.Errorf("consumer %s of stream %s: %w", w.Consumer, w.Stream, jetstream.ErrConsumerNotFound)
	}
	return nil
}

// inspectConsumer returns nil for a consumer that does not exist.
func (i *Inventory) inspectConsumer(ctx context.Context, stream jetstream.Stream, c ConsumerConfig, l Limits) (*jetstream.ConsumerInfo, error) {
	consumer, err := stream.Consumer(ctx, c.Name)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("consumer %s of stream %s: %w", c.Name, stream.CachedInfo().Config.Name, err)
	}
	info := consumer.CachedInfo()
	i.add(checkConsumer(info.Config, l))
	i.add(checkFilter(info.Config, c))
	return info, nil
}

// present returns nil for a stream that does not exist.
func present(s jetstream.Stream, err error) (jetstream.Stream, error) {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	return s, err
}
