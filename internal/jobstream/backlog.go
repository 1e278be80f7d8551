package jobstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/subject"
)

// Message is a job's message as the stream holds it.
type Message struct {
	Sequence uint64    // in the stream of the jobs
	Stored   time.Time // when it was published there
	Subject  string
	Header   nats.Header
	Body     []byte
}

func published(m *jetstream.RawStreamMsg) Message {
	return Message{Sequence: m.Sequence, Stored: m.Time, Subject: m.Subject, Header: m.Header, Body: m.Data}
}

// Pending is a job's message that a consumer is not known to have done with.
type Pending struct {
	Message
	Delivered bool // a worker has it in hand, it waits for its next try, or it is done and an older one is not
	Ahead     int  // where it was not delivered, how many come before it, jobs.match or not
}

const (
	// backlogAtOnce is how many messages are requested at a time.
	backlogAtOnce = 128
	// readTimeout bounds the wait for them.
	readTimeout = 10 * time.Second
)

// Backlog walks what a consumer of the stream of jobs has not finished, the
// oldest first. Of the delivered ones some may be done, as long as an older one
// is not. It reads message by message and makes no consumer, so that whoever
// only looks needs no permission to change any; some ten thousand take a second,
// so bound it where the backlog may be long. An error ends the walk.
func Backlog(ctx context.Context, js jetstream.JetStream, stream, consumer string) iter.Seq2[Pending, error] {
	return func(yield func(Pending, error) bool) {
		jobs, info, err := lookAt(ctx, js, stream, consumer)
		if err != nil {
			yield(Pending{}, err)
			return
		}
		ahead := 0
		from, last := max(info.AckFloor.Stream+1, jobs.CachedInfo().State.FirstSeq), jobs.CachedInfo().State.LastSeq
		for ; from <= last; from += backlogAtOnce {
			found, err := Read(ctx, jobs, from, min(from+backlogAtOnce-1, last))
			if err != nil {
				yield(Pending{}, fmt.Errorf("reading stream %s: %w", stream, err))
				return
			}
			for _, m := range found {
				if m == nil || !Selects(info.Config, m.Subject) {
					continue
				}
				w := Pending{Message: published(m), Delivered: m.Sequence <= info.Delivered.Stream, Ahead: ahead}
				if !w.Delivered {
					ahead++
				}
				if !yield(w, nil) {
					return
				}
			}
		}
	}
}

func lookAt(ctx context.Context, js jetstream.JetStream, stream, consumer string) (jetstream.Stream, *jetstream.ConsumerInfo, error) {
	jobs, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	c, err := jobs.Consumer(ctx, consumer)
	if err != nil {
		return nil, nil, fmt.Errorf("consumer %s of stream %s: %w", consumer, stream, err)
	}
	return jobs, c.CachedInfo(), nil
}

// messages reads a stretch of a stream, side by side; nil where there is none.
func Read(ctx context.Context, stream jetstream.Stream, from, to uint64) ([]*jetstream.RawStreamMsg, error) {
	found, errs := make([]*jetstream.RawStreamMsg, to-from+1), make([]error, to-from+1)
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var readers sync.WaitGroup
	for i := range found {
		readers.Go(func() {
			m, err := stream.GetMsg(ctx, from+uint64(i))
			if err == nil {
				found[i] = m
			} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
				errs[i] = err
			}
		})
	}
	readers.Wait()
	return found, cmp.Or(errs...)
}

// filters reports whether a consumer takes a subject.
func Selects(c jetstream.ConsumerConfig, name string) bool {
	patterns := c.FilterSubjects
	if c.FilterSubject != "" {
		patterns = []string{c.FilterSubject}
	}
	takes := func(pattern string) bool { return subject.Covers(pattern, name) }
	return len(patterns) == 0 || slices.ContainsFunc(patterns, takes)
}
