package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natsconn"
)

// Mapping returns how the workers decode jobs: as the configuration says or, if it
// says nothing of it, as a worker noted in the metadata of its consumer. If neither
// is known, jobs are read in our own shape, and unknown says why.
func Mapping(ctx context.Context, js jetstream.JetStream, c config.Config) (m capture.Mapping, unknown string) {
	m = c.JobMapping()
	if c.SaysMapping() {
		return m, ""
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	consumer := c.LaneList()[0].Consumer
	noted, err := jobstream.ConsumerMapping(ctx, js, c.Jobs.Stream, consumer)
	if err == nil {
		_, err = capture.NewDecoder(noted)
	}
	if err != nil {
		return m, fmt.Sprintf("how the workers decode jobs (jobs.fields, jobs.match) is not known here, and only jobs of our own shape are read: consumer %s of stream %s: %s; give the workers' configuration with --config",
			consumer, c.Jobs.Stream, whyUnknown(js, err))
	}
	return noted, ""
}

func whyUnknown(js jetstream.JetStream, err error) string {
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return "there is no such stream"
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return "there is no such consumer"
	}
	return natsconn.Explain(js.Conn(), err).Error()
}
