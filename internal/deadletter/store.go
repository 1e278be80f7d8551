package deadletter

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrNotFound is wrapped by errors about a dead letter that does not exist.
var ErrNotFound = errors.New("no such dead letter")

const (
	// timeout bounds one request to the broker, and the wait for one message.
	timeout = 10 * time.Second
	// deleteTimeout bounds the removal of the consumer that a reader used.
	deleteTimeout = 2 * time.Second
)

// Store is the stream of dead letters and of the notes about them.
type Store struct {
	JS     jetstream.JetStream
	Stream string // Put does not need it
}

// Put stores the job, bytes and headers unchanged, with the reason, and returns
// the sequence of the dead letter. When the error is nil it is stored. A job
// that is put twice, because its termination was lost, is stored once as long as
// the stream remembers its id. One that is too large to be stored with our
// headers is stored in two parts; the sequence is the first part's.
func (s Store) Put(ctx context.Context, job jetstream.Msg, reason, detail string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	letter, id, err := build(job, reason, detail)
	if err != nil {
		return 0, err
	}
	sequence, err := s.publish(ctx, letter, id)
	if errors.Is(err, nats.ErrMaxPayload) {
		first, second := split(letter)
		sequence, err = s.publish(ctx, first, id+"-1")
		if err == nil {
			_, err = s.publish(ctx, second, id+"-2")
		}
	}
	return sequence, err
}

func (s Store) publish(ctx context.Context, letter *nats.Msg, id string) (uint64, error) {
	ack, err := s.JS.PublishMsg(ctx, letter, jetstream.WithMsgID(id))
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		return 0, fmt.Errorf("dead-lettering to %s: no stream has this subject; a worker creates one when it starts: %w", letter.Subject, err)
	}
	if err != nil {
		return 0, fmt.Errorf("dead-lettering to %s: %w", letter.Subject, err)
	}
	return ack.Sequence, nil
}

// Messages iterates over the dead letters, oldest first, in constant memory. An
// error ends the iteration.
func (s Store) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for m, err := range s.read(ctx, SubjectPrefix+">") {
			if err != nil {
				yield(Message{}, err)
				return
			}
			if _, is := isNote(m.Subject()); is {
				continue
			}
			meta, err := m.Metadata()
			if err != nil {
				yield(Message{}, fmt.Errorf("reading a dead letter of stream %s: %w", s.Stream, err))
				return
			}
			if !yield(parse(meta.Sequence.Stream, meta.Timestamp, m.Subject(), m.Headers(), m.Data()), nil) {
				return
			}
		}
	}
}

// Notes iterates over the notes about what operators did, oldest first, as they
// are stored: Read reads them. An error ends the iteration.
func (s Store) Notes(ctx context.Context) iter.Seq2[jetstream.Msg, error] {
	return s.read(ctx, noteSubjects...)
}

// Get returns one dead letter. The error wraps ErrNotFound if there is none.
func (s Store) Get(ctx context.Context, seq uint64) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stream, err := s.JS.Stream(ctx, s.Stream)
	if err != nil {
		return Message{}, fmt.Errorf("stream %s: %w", s.Stream, err)
	}
	m, err := stream.GetMsg(ctx, seq)
	if err == nil {
		if _, is := isNote(m.Subject); is {
			err = ErrNotFound
		}
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return Message{}, fmt.Errorf("sequence %d of stream %s: %w", seq, s.Stream, err)
	}
	return parse(m.Sequence, m.Time, m.Subject, m.Header, m.Data), nil
}

// Pending returns how many dead letters have been neither published again nor
// dismissed. It takes two short requests to the broker, because the notes about
// each dead letter have a subject of their own. One that was stored in two parts
// counts as two.
func (s Store) Pending(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stream, err := s.JS.Stream(ctx, s.Stream)
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", s.Stream, err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(SubjectPrefix+">"))
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", s.Stream, err)
	}
	pending, resolved := 0, map[uint64]bool{}
	for subject, n := range info.State.Subjects {
		if letter, is := isNote(subject); !is {
			pending += int(n)
		} else if letter == 0 {
			pending -= int(n) // only the bodies of these notes name the dead letter
		} else if letter >= info.State.FirstSeq {
			resolved[letter] = true
		}
	}
	return max(pending-len(resolved), 0), nil
}

// read iterates over what the stream holds now of some subjects, oldest first.
func (s Store) read(ctx context.Context, subjects ...string) iter.Seq2[jetstream.Msg, error] {
	return func(yield func(jetstream.Msg, error) bool) {
		fail := func(err error) { yield(nil, fmt.Errorf("reading stream %s: %w", s.Stream, err)) }
		consumer, err := s.JS.OrderedConsumer(ctx, s.Stream, jetstream.OrderedConsumerConfig{FilterSubjects: subjects})
		if err != nil {
			fail(err)
			return
		}
		defer s.deleteConsumer(ctx, consumer)
		left := consumer.CachedInfo().NumPending
		if left == 0 {
			return
		}
		messages, err := consumer.Messages()
		if err != nil {
			fail(err)
			return
		}
		defer messages.Stop()
		for left > 0 {
			m, pending, err := next(ctx, messages)
			if err != nil {
				fail(err)
				return
			}
			if !yield(m, nil) {
				return
			}
			left = pending
		}
	}
}

// deleteConsumer removes the consumer of a reader. The broker would remove it
// only after five minutes, so that repeated readers would reach the stream's
// limit of consumers.
func (s Store) deleteConsumer(ctx context.Context, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
	defer cancel()
	_ = s.JS.DeleteConsumer(ctx, s.Stream, consumer.CachedInfo().Name)
}

func next(ctx context.Context, messages jetstream.MessagesContext) (m jetstream.Msg, left uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	m, err = messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		return nil, 0, err
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, 0, err
	}
	return m, meta.NumPending, nil
}
