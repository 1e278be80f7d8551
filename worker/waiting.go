package worker

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Waiting is how many letters nobody has published again or dismissed yet, for
// two short requests to the broker: every letter that was dealt with has a
// subject of its own for the notes about it. One that was too large for one
// message is two.
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
	waiting, done := 0, map[uint64]bool{}
	for subject, n := range info.State.Subjects {
		if letter, is := isNote(subject); !is {
			waiting += int(n)
		} else if letter == 0 {
			waiting -= int(n) // of which letters only their bodies say
		} else if letter >= info.State.FirstSeq {
			done[letter] = true
		}
	}
	return max(waiting-len(done), 0), nil
}
