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

// Message is the message of a job as the stream holds it.
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

// Pending is the message of a job that a consumer is not known to have finished.
type Pending struct {
	Message
	Delivered bool // it is in flight, waits for its next try, or is done while an older one is not
	Ahead     int  // if it was not delivered, how many come before it, selected by jobs.match or not
}

const (
	// backlogAtOnce is how many messages are requested at a time.
	backlogAtOnce = 128
	// readTimeout bounds the wait for them.
	readTimeout = 10 * time.Second
)

// Backlog iterates over what a consumer of the stream of jobs has not finished,
// oldest first. Some of the delivered ones may be done, as long as an older one is
// not. It reads message by message and creates no consumer, so that a reader needs
// no permission to change any. Some ten thousand take a second: bound it if the
// backlog may be long. An error ends the iteration.
func Backlog(ctx context.Context, js jetstream.JetStream, stream, consumer string) iter.Seq2[Pending, error] {
	return func(yield func(Pending, error) bool) {
		jobs, info, err := openConsumer(ctx, js, stream, consumer)
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

func openConsumer(ctx context.Context, js jetstream.JetStream, stream, consumer string) (jetstream.Stream, *jetstream.ConsumerInfo, error) {
	jobs, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	c, err := jobs.Consumer(ctx, consumer)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the state of consumer %s of stream %s: %w", consumer, stream, err)
	}
	return jobs, c.CachedInfo(), nil
}

// Read returns the messages of a range of sequences, read in parallel; nil for those
// that do not exist.
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

// Selects reports whether the filter of a consumer covers a subject.
func Selects(c jetstream.ConsumerConfig, name string) bool {
	patterns := c.FilterSubjects
	if c.FilterSubject != "" {
		patterns = []string{c.FilterSubject}
	}
	takes := func(pattern string) bool { return subject.Covers(pattern, name) }
	return len(patterns) == 0 || slices.ContainsFunc(patterns, takes)
}
