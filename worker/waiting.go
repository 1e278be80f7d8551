package worker

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Waiting is how many letters nobody has published again yet, for two short
// requests to the broker, however many there are: it takes the notes from the letters.
// A letter that was published again twice so counts as two that were, and one
// that was too large for one message is two.
func (b LetterBox) Waiting(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, letterTimeout)
	defer cancel()
	stream, err := b.JS.Stream(ctx, b.Stream)
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", b.Stream, err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(DeadLetterSubject+">"))
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", b.Stream, err)
	}
	waiting := 0
	for subject, n := range info.State.Subjects {
		if subject == RepublishedSubject {
			waiting -= int(n)
		} else {
			waiting += int(n)
		}
	}
	return max(waiting, 0), nil
}
