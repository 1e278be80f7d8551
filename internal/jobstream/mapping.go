package jobstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
)

const (
	// mappingKey is the member of a consumer's metadata that says how its workers
	// decode jobs, so that commands without their configuration can.
	mappingKey = "capture-mapping"
	// maxMapping limits it; the broker takes 128 KiB of metadata.
	maxMapping = 64 << 10
	// ownDescription is the description of the consumers that we create.
	ownDescription = "workers of capture-worker share it"
	// mappingTimeout bounds the change of the metadata at a start.
	mappingTimeout = 5 * time.Second
)

// ErrNoMapping is returned by ConsumerMapping for a consumer that does not say how
// its workers decode jobs.
var ErrNoMapping = errors.New("its metadata does not have the mapping of its workers")

// ConsumerMapping returns how the workers of a consumer decode jobs, as its metadata
// says. The error is ErrNoMapping if it does not.
func ConsumerMapping(ctx context.Context, js jetstream.JetStream, stream, consumer string) (capture.Mapping, error) {
	c, err := js.Consumer(ctx, stream, consumer)
	if err != nil {
		return capture.Mapping{}, err
	}
	text, ok := c.CachedInfo().Config.Metadata[mappingKey]
	if !ok {
		return capture.Mapping{}, ErrNoMapping
	}
	var m capture.Mapping
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return capture.Mapping{}, fmt.Errorf("%w: %w", ErrNoMapping, err)
	}
	return m, nil
}

// mappingText returns the mapping as text for the consumer's metadata, "" without a
// mapping.
func (cfg Config) mappingText() string {
	if cfg.Mapping == nil {
		return ""
	}
	text, err := json.Marshal(cfg.Mapping)
	if err != nil || len(text) > maxMapping {
		return ""
	}
	return string(text)
}

// noteMapping writes the mapping into the metadata of a consumer that we created,
// if it changed. A consumer of the user's own is left as it is. The mapping decides
// nothing, so that an error is logged only.
func noteMapping(ctx context.Context, jobs jetstream.Stream, cfg Config, consumer jetstream.Consumer) jetstream.Consumer {
	wanted, text := consumer.CachedInfo().Config, cfg.mappingText()
	if text == "" || wanted.Metadata[mappingKey] == text || wanted.Description != ownDescription {
		return consumer
	}
	ctx, cancel := context.WithTimeout(ctx, mappingTimeout)
	defer cancel()
	wanted.Metadata = maps.Clone(wanted.Metadata)
	if wanted.Metadata == nil {
		wanted.Metadata = map[string]string{}
	}
	wanted.Metadata[mappingKey] = text
	changed, err := jobs.UpdateConsumer(ctx, wanted)
	if err != nil {
		cfg.Log.WarnContext(ctx, "mapping not noted in the consumer's metadata; commands need --config to read jobs", "consumer", wanted.Durable, "error", err)
		return consumer
	}
	return changed
}
