package ledger

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// InspectStream tells what of the ledger's stream does not fit. It creates and
// alters nothing. Where the stream is missing the error is
// jetstream.ErrStreamNotFound.
func InspectStream(ctx context.Context, js jetstream.JetStream, c StreamConfig) (*jetstream.StreamInfo, []Finding, error) {
	c = c.withDefaults()
	stream, err := js.Stream(ctx, c.Stream)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the ledger's stream %s: %w", c.Stream, err)
	}
	info := stream.CachedInfo()
	return info, inspect(info.Config, c), nil
}
