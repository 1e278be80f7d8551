package cli

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/capture-worker/capture-worker/capture"
)

// releasePublisher hands released jobs to the workers, in the shape that they
// read.
func releasePublisher(js jetstream.JetStream, m capture.Mapping, to target) func(context.Context, capture.Job, string) error {
	return func(ctx context.Context, job capture.Job, id string) error {
		header, body, err := m.Encode(job, id)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, tryTimeout)
		defer cancel()
		msg := nats.NewMsg(to.subject)
		msg.Data = body
		for name, values := range header {
			msg.Header[name] = values
		}
		msg.Header.Set("Capture-Release", id)
		_, err = js.PublishMsg(ctx, msg, jetstream.WithMsgID("capture-release-"+id), jetstream.WithExpectStream(to.stream))
		if err != nil {
			return fmt.Errorf("not acknowledged as stored on %s: %w", to.subject, err)
		}
		return nil
	}
}

// newPace lets so many things happen in a second; 0 is no limit.
func newPace(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(perSecond), 1)
}
