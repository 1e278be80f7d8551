package jobstream

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Done iterates over the finished jobs that the stream still holds, newest first:
// the messages that a consumer takes and that Backlog leaves out for each consumer.
// It reads message by message like Backlog. The caller has to limit it, because a
// stream may hold the jobs of weeks. An error ends the iteration.
func Done(ctx context.Context, js jetstream.JetStream, stream string, consumers []string) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		var jobs jetstream.Stream
		var infos []*jetstream.ConsumerInfo
		last := uint64(0)
		for _, name := range consumers {
			s, info, err := openConsumer(ctx, js, stream, name)
			if err != nil {
				yield(Message{}, err)
				return
			}
			jobs, infos, last = s, append(infos, info), max(last, info.AckFloor.Stream)
		}
		if len(infos) == 0 {
			return
		}
		first := max(jobs.CachedInfo().State.FirstSeq, 1)
		for last = min(last, jobs.CachedInfo().State.LastSeq); last >= first; {
			from := max(first, last-min(last, backlogAtOnce)+1)
			found, err := Read(ctx, jobs, from, last)
			if err != nil {
				yield(Message{}, fmt.Errorf("reading stream %s: %w", stream, err))
				return
			}
			for _, m := range slices.Backward(found) {
				if m != nil && doneBy(infos, m) && !yield(published(m), nil) {
					return
				}
			}
			last = from - 1
		}
	}
}

// doneBy reports whether a consumer takes the message, and each consumer that does
// has finished it and all earlier ones.
func doneBy(consumers []*jetstream.ConsumerInfo, m *jetstream.RawStreamMsg) bool {
	taken := false
	for _, c := range consumers {
		if !Selects(c.Config, m.Subject) {
			continue
		}
		if taken = true; m.Sequence > c.AckFloor.Stream {
			return false
		}
	}
	return taken
}
