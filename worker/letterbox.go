package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Headers that a job carries which was a dead letter before.
const (
	HeaderLetterStream   = "Capture-Letter-Stream"
	HeaderLetterSequence = "Capture-Letter-Sequence"
)

// ErrNoLetter: there is no dead letter of that sequence.
var ErrNoLetter = errors.New("no such dead letter")

// Letter is a dead letter: a job as it was found, and why it could not be
// taken.
type Letter struct {
	Seq      uint64    // in the stream of dead letters
	Stored   time.Time // when it was put there
	Reason   string    // conflict, or one of capture.MalformedReasons
	Detail   string
	Subject  string // where the job was published
	Stream   string
	Sequence uint64      // of the job in its stream
	Part     string      // "1/2" or "2/2" of a job that was too large for one letter
	Header   nats.Header // the job's own, without those for the broker
	Body     []byte
}

// LetterBox reads the stream of dead letters, and notes what a person did
// about one. It changes and removes nothing.
type LetterBox struct {
	JS     jetstream.JetStream
	Stream string
}

// letterTimeout bounds the wait for one message.
const letterTimeout = 10 * time.Second

// Letters walks the letters, the oldest first, in constant memory. An error
// ends the walk.
func (b LetterBox) Letters(ctx context.Context) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		for m, err := range b.walk(ctx, DeadLetterSubject+">") {
			if err != nil {
				yield(Letter{}, err)
				return
			}
			if _, is := isNote(m.Subject()); is {
				continue
			}
			meta, err := m.Metadata()
			if err != nil {
				yield(Letter{}, fmt.Errorf("reading a dead letter: %w", err))
				return
			}
			if !yield(readLetter(meta.Sequence.Stream, meta.Timestamp, m.Subject(), m.Headers(), m.Data()), nil) {
				return
			}
		}
	}
}

// Letter returns one letter. The error wraps ErrNoLetter where there is none.
func (b LetterBox) Letter(ctx context.Context, seq uint64) (Letter, error) {
	ctx, cancel := context.WithTimeout(ctx, letterTimeout)
	defer cancel()
	stream, err := b.JS.Stream(ctx, b.Stream)
	if err != nil {
		return Letter{}, fmt.Errorf("stream %s: %w", b.Stream, err)
	}
	m, err := stream.GetMsg(ctx, seq)
	if err == nil {
		if _, is := isNote(m.Subject); is {
			err = ErrNoLetter
		}
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = ErrNoLetter
	}
	if err != nil {
		return Letter{}, fmt.Errorf("sequence %d of stream %s: %w", seq, b.Stream, err)
	}
	return readLetter(m.Sequence, m.Time, m.Subject, m.Header, m.Data), nil
}

// walk reads what the stream holds now of some subjects.
func (b LetterBox) walk(ctx context.Context, subjects ...string) iter.Seq2[jetstream.Msg, error] {
	return walk(ctx, b.JS, b.Stream, jetstream.OrderedConsumerConfig{FilterSubjects: subjects})
}

// readLetter takes the job and what was written about it apart.
func readLetter(seq uint64, stored time.Time, subject string, header nats.Header, body []byte) Letter {
	l := Letter{
		Seq: seq, Stored: stored, Body: body, Header: nats.Header{},
		Reason: header.Get(HeaderReason), Detail: oneLine(header.Get(HeaderDetail)),
		Subject: header.Get(HeaderSubject), Stream: header.Get(HeaderStream), Part: header.Get(HeaderPart),
	}
	if l.Reason == "" {
		l.Reason = strings.TrimPrefix(subject, DeadLetterSubject)
	}
	l.Sequence, _ = strconv.ParseUint(header.Get(HeaderSequence), 10, 64) // 0 where it says none
	for name, values := range header {
		lower := strings.ToLower(name)
		if !strings.HasPrefix(lower, "capture-") && !strings.HasPrefix(lower, "nats-") {
			l.Header[name] = values
		}
	}
	return l
}
