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

// ErrTooLarge is wrapped by the error about a job that is too large for a dead letter
// in each of its forms.
var ErrTooLarge = errors.New("the job is too large for a dead letter in two parts: raise max_msg_size of the stream, or max_payload of the server")

const (
	// timeout bounds one request to the broker, and the wait for one message.
	timeout = 10 * time.Second
	// lookTimeout bounds a look-up with its tries: longer than a leader's election.
	lookTimeout = 40 * time.Second
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
// headers is stored in two parts; the sequence is the first part's. If its own
// headers leave no room for ours, they are moved into the body (HeaderHeaders).
func (s Store) Put(ctx context.Context, job jetstream.Msg, reason, detail string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	letter, id, err := build(job, reason, detail)
	if err != nil {
		return 0, err
	}
	whole := func(letter *nats.Msg) []*nats.Msg { return []*nats.Msg{letter} }
	for _, form := range []func(*nats.Msg) []*nats.Msg{whole, split} {
		if sequence, err := s.publishAll(ctx, form(letter), id); !TooLarge(err) {
			return sequence, err
		}
	}
	moved := moveHeaders(letter, job.Headers())
	for _, form := range []func(*nats.Msg) []*nats.Msg{whole, split} {
		if sequence, err := s.publishAll(ctx, form(moved), id+"-headers"); !TooLarge(err) {
			return sequence, err
		}
	}
	return 0, fmt.Errorf("dead-lettering to %s: %w", letter.Subject, ErrTooLarge)
}

// publishAll stores one message, or the parts of one, and returns the sequence of
// the first. Each has an id of its own, so that a repeat continues after the parts
// that were stored.
func (s Store) publishAll(ctx context.Context, letters []*nats.Msg, id string) (first uint64, err error) {
	for i, letter := range letters {
		part := id
		if len(letters) > 1 {
			part = fmt.Sprintf("%s-%d", id, i+1)
		}
		sequence, err := s.publish(ctx, letter, part)
		if err != nil {
			return 0, err
		}
		if i == 0 {
			first = sequence
		}
	}
	return first, nil
}

// Error codes of JetStream for a message that is too large.
const (
	codeMessageTooLarge = 10054 // for the stream's max_msg_size
	codeHeaderTooLarge  = 10097 // above 64 KiB
)

// TooLarge reports whether the broker refuses a message for its size: nothing of it
// is stored.
func TooLarge(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return errors.Is(err, nats.ErrMaxPayload) || ok && (api.ErrorCode == codeMessageTooLarge || api.ErrorCode == codeHeaderTooLarge)
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

// Messages iterates over the dead letters that come after a sequence, oldest first,
// in memory that is bounded whatever their size. An error ends the iteration.
func (s Store) Messages(ctx context.Context, after uint64) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for m, err := range s.read(ctx, after, SubjectPrefix+">") {
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
	return s.read(ctx, 0, noteSubjects...)
}

// Get returns one dead letter. The error wraps ErrNotFound if there is none.
func (s Store) Get(ctx context.Context, seq uint64) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
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
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
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

// walkBytes bounds what is on its way from the broker at a time, in bytes: above 64
// MiB the broker closes the connection of a reader that is slower than it. Two
// messages of the largest size always fit.
const walkBytes = 8 << 20

// read iterates over what the stream holds now of some subjects after a sequence,
// oldest first.
func (s Store) read(ctx context.Context, after uint64, subjects ...string) iter.Seq2[jetstream.Msg, error] {
	return func(yield func(jetstream.Msg, error) bool) {
		fail := func(err error) { yield(nil, fmt.Errorf("reading stream %s: %w", s.Stream, err)) }
		consumer, err := s.JS.OrderedConsumer(ctx, s.Stream, jetstream.OrderedConsumerConfig{
			FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
		})
		if err != nil {
			fail(err)
			return
		}
		defer s.deleteConsumer(ctx, consumer)
		left := consumer.CachedInfo().NumPending
		if left == 0 {
			return
		}
		messages, err := consumer.Messages(jetstream.PullMaxBytes(max(walkBytes, 2*int(s.JS.Conn().MaxPayload()))))
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
