package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// RepublishedSubject is where it is written down that a dead letter's job was
// published again. The letter itself stays where it is: what came in and what
// was done about it are both kept.
const RepublishedSubject = DeadLetterSubject + "republished"

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
	Header   nats.Header // the job's own, without those for the broker
	Body     []byte
}

// Republication says that the job of a letter was published again.
type Republication struct {
	Letter  uint64    `json:"letter"` // its sequence
	TradeID string    `json:"trade_id"`
	Amount  string    `json:"amount"`
	Money   string    `json:"currency"`
	Fixed   bool      `json:"fixed"` // with another body
	Subject string    `json:"subject"`
	Stream  string    `json:"stream"`
	Seq     uint64    `json:"sequence"` // of the new job there
	By      string    `json:"by"`
	Note    string    `json:"note"`
	Time    time.Time `json:"time"`
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
			if m.Subject() == RepublishedSubject {
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
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Subject == RepublishedSubject {
		return Letter{}, fmt.Errorf("sequence %d of stream %s: %w", seq, b.Stream, ErrNoLetter)
	}
	if err != nil {
		return Letter{}, fmt.Errorf("sequence %d of stream %s: %w", seq, b.Stream, err)
	}
	return readLetter(m.Sequence, m.Time, m.Subject, m.Header, m.Data), nil
}

// Republished returns the last republication of each letter that has one.
func (b LetterBox) Republished(ctx context.Context) (map[uint64]Republication, error) {
	found := map[uint64]Republication{}
	for m, err := range b.walk(ctx, RepublishedSubject) {
		if err != nil {
			return nil, err
		}
		var r Republication
		if err := json.Unmarshal(m.Data(), &r); err != nil {
			return nil, fmt.Errorf("reading what was republished: %w", err)
		}
		found[r.Letter] = r
	}
	return found, nil
}

// Note writes a republication down. Repeated soon, it is stored once.
func (b LetterBox) Note(ctx context.Context, r Republication) error {
	ctx, cancel := context.WithTimeout(ctx, letterTimeout)
	defer cancel()
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("noting the republication of letter %d: %w", r.Letter, err)
	}
	id := fmt.Sprintf("%s-%d-republished-%s-%d", b.Stream, r.Letter, r.Stream, r.Seq)
	_, err = b.JS.Publish(ctx, RepublishedSubject, body, jetstream.WithMsgID(id), jetstream.WithExpectStream(b.Stream))
	if err != nil {
		return fmt.Errorf("noting the republication of letter %d: %w", r.Letter, err)
	}
	return nil
}

// walk reads what the stream holds now of a subject.
func (b LetterBox) walk(ctx context.Context, subject string) iter.Seq2[jetstream.Msg, error] {
	return func(yield func(jetstream.Msg, error) bool) {
		fail := func(err error) { yield(nil, fmt.Errorf("reading stream %s: %w", b.Stream, err)) }
		reader, err := b.JS.OrderedConsumer(ctx, b.Stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
		if err != nil {
			fail(err)
			return
		}
		left := reader.CachedInfo().NumPending
		if left == 0 {
			return
		}
		messages, err := reader.Messages()
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

func next(ctx context.Context, messages jetstream.MessagesContext) (m jetstream.Msg, left uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, letterTimeout)
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

// readLetter takes the job and what was written about it apart.
func readLetter(seq uint64, stored time.Time, subject string, header nats.Header, body []byte) Letter {
	l := Letter{
		Seq: seq, Stored: stored, Body: body, Header: nats.Header{},
		Reason: header.Get(HeaderReason), Detail: oneLine(header.Get(HeaderDetail)),
		Subject: header.Get(HeaderSubject), Stream: header.Get(HeaderStream),
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
