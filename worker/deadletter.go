package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// DeadLetterSubject is the prefix of the subjects that dead letters are
// published to; the reason is the last token.
const DeadLetterSubject = "capture.dlq."

// Headers that a dead letter carries beside those of the job.
const (
	HeaderReason   = "Capture-Reason"
	HeaderDetail   = "Capture-Detail"
	HeaderSubject  = "Capture-Subject"  // where the job was published
	HeaderStream   = "Capture-Stream"   // the stream it was in
	HeaderSequence = "Capture-Sequence" // its sequence there
	HeaderTime     = "Capture-Time"     // when it was stored there, RFC 3339
	// HeaderPart is "1/2" or "2/2" where the job and what is written about it
	// were too large for one message: the bytes of the two make the job, whose
	// own headers the first has.
	HeaderPart = "Capture-Part"
	// HeaderOriginal prefixes the job's own Nats-… headers: kept under their
	// own name they would be orders to the broker.
	HeaderOriginal = "Capture-Original-"
)

// deadLetterTimeout bounds the wait for the broker to have stored a letter.
const deadLetterTimeout = 10 * time.Second

// DeadLetters puts jobs that nobody can process where a person finds them.
type DeadLetters struct {
	JS jetstream.JetStream
}

// Put stores the job, bytes and headers untouched, with the reason, and returns
// the sequence of the letter. When the error is nil the letter is stored. A job
// that is put twice, because the termination of the first was lost, is stored
// once as long as the stream remembers its id. One that is too large to be stored
// with what we write about it is stored in two parts; the sequence is the
// first's.
func (d DeadLetters) Put(ctx context.Context, m jetstream.Msg, why Disposition) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, deadLetterTimeout)
	defer cancel()
	letter, id, err := deadLetter(m, why)
	if err != nil {
		return 0, err
	}
	sequence, err := d.store(ctx, letter, id)
	if errors.Is(err, nats.ErrMaxPayload) {
		first, second := halves(letter)
		sequence, err = d.store(ctx, first, id+"-1")
		if err == nil {
			_, err = d.store(ctx, second, id+"-2")
		}
	}
	return sequence, err
}

func (d DeadLetters) store(ctx context.Context, letter *nats.Msg, id string) (uint64, error) {
	ack, err := d.JS.PublishMsg(ctx, letter, jetstream.WithMsgID(id))
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		return 0, fmt.Errorf("dead-lettering to %s: no stream takes it; a worker makes one when it starts: %w", letter.Subject, err)
	}
	if err != nil {
		return 0, fmt.Errorf("dead-lettering to %s: %w", letter.Subject, err)
	}
	return ack.Sequence, nil
}

// halves parts a letter; the second half has our headers only.
func halves(letter *nats.Msg) (first, second *nats.Msg) {
	first, second = nats.NewMsg(letter.Subject), nats.NewMsg(letter.Subject)
	middle := len(letter.Data) / 2
	first.Data, second.Data = letter.Data[:middle], letter.Data[middle:]
	first.Header = letter.Header
	for _, name := range []string{HeaderReason, HeaderDetail, HeaderSubject, HeaderStream, HeaderSequence, HeaderTime} {
		second.Header.Set(name, letter.Header.Get(name))
	}
	first.Header.Set(HeaderPart, "1/2")
	second.Header.Set(HeaderPart, "2/2")
	return first, second
}

func deadLetter(m jetstream.Msg, why Disposition) (letter *nats.Msg, id string, err error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, "", fmt.Errorf("reading where a job came from: %w", err)
	}
	letter = nats.NewMsg(DeadLetterSubject + why.Reason)
	letter.Data = m.Data()
	for name, values := range m.Headers() {
		if strings.HasPrefix(strings.ToLower(name), "nats-") {
			name = HeaderOriginal + name
		}
		letter.Header[name] = values
	}
	sequence := strconv.FormatUint(meta.Sequence.Stream, 10)
	letter.Header.Set(HeaderReason, why.Reason)
	letter.Header.Set(HeaderDetail, oneLine(why.Detail))
	letter.Header.Set(HeaderSubject, m.Subject())
	letter.Header.Set(HeaderStream, meta.Stream)
	letter.Header.Set(HeaderSequence, sequence)
	letter.Header.Set(HeaderTime, meta.Timestamp.UTC().Format(time.RFC3339Nano))
	// The time too: a stream that is made anew counts from 1 again.
	id = fmt.Sprintf("%s-%s-%d-%s", meta.Stream, sequence, meta.Timestamp.UnixNano(), why.Reason)
	return letter, id, nil
}

// oneLine keeps a text from ending its header early.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
