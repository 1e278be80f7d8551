// Package deadletter keeps jobs that cannot be processed in a stream of their
// own, with the reason, and records what operators did about them. Nothing in
// the stream is ever changed or removed.
package deadletter

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
)

// SubjectPrefix is the prefix of the subjects that dead letters are published
// to; the reason is the last token.
const SubjectPrefix = "capture.dlq."

// Reasons of dead letters beside capture.MalformedReasons.
const (
	// ReasonConflict means that the job contradicts the outcome of its trade.
	ReasonConflict = "conflict"
	// ReasonWithdrawn means that the trade was withdrawn, and the job has another
	// request than the withdrawn one.
	ReasonWithdrawn = capture.ReasonWithdrawn
	// ReasonUnknownOrder means that a withdrawal names an order of which no trade
	// became known as long as one could have been captured.
	ReasonUnknownOrder = "unknown_order"
)

// Reasons returns every reason that a dead letter may have, in the order in which
// documents list them.
func Reasons() []string {
	return append(capture.MalformedReasons(), ReasonConflict, ReasonWithdrawn, ReasonUnknownOrder)
}

// Headers that a dead letter carries beside those of the job.
const (
	HeaderReason   = "Capture-Reason"
	HeaderDetail   = "Capture-Detail"
	HeaderSubject  = "Capture-Subject"  // where the job was published
	HeaderStream   = "Capture-Stream"   // the stream it was in
	HeaderSequence = "Capture-Sequence" // its sequence there
	HeaderTime     = "Capture-Time"     // when it was stored there, RFC 3339
	// HeaderPart is "1/2" or "2/2" if the job and these headers were too large
	// for one message: the bytes of the two make the job, whose own headers the
	// first has.
	HeaderPart = "Capture-Part"
	// HeaderHeaders is set if the job's own headers left no room for these, which
	// the broker limits to 64 KiB together: the body begins with the job's headers,
	// as many bytes as it says, in the form in which NATS sends them.
	HeaderHeaders = "Capture-Headers"
	// HeaderOriginal prefixes the job's own Nats-… headers: under their own name
	// they would be instructions to the broker.
	HeaderOriginal = "Capture-Original-"
)

// Headers that a job carries after it was published again from a dead letter, and
// when an operator published it. Versions before 1.0 wrote Capture-Letter-Stream
// and Capture-Letter-Sequence.
const (
	HeaderDLQStream   = "Capture-DLQ-Stream"
	HeaderDLQSequence = "Capture-DLQ-Sequence"
	HeaderPublishedBy = "Capture-Published-By"
)

// maxClaim limits what a job's headers say about its origin, in characters.
const maxClaim = 200

// SourceOf returns where a job came from: the message in the stream of jobs and
// what its headers say about the publisher.
func SourceOf(stream string, sequence uint64, header map[string][]string) *capture.Source {
	s := &capture.Source{Stream: stream, Sequence: sequence}
	s.Publisher = claim(header, HeaderPublishedBy)
	for _, names := range [][2]string{{HeaderDLQStream, HeaderDLQSequence}, {"Capture-Letter-Stream", "Capture-Letter-Sequence"}} {
		sequence, err := strconv.ParseUint(nats.Header(header).Get(names[1]), 10, 64)
		if stream := claim(header, names[0]); err == nil && stream != "" {
			s.DLQStream, s.DLQSequence = stream, sequence
			break
		}
	}
	return s
}

// claim returns a header as one line of bounded length.
func claim(header nats.Header, name string) string {
	text := []rune(strings.ToValidUTF8(header.Get(name), "\ufffd"))
	return oneLine(string(text[:min(len(text), maxClaim)]))
}

// Message is a dead letter: a job as it was found, and why it could not be
// processed.
type Message struct {
	Seq      uint64    // in the stream of dead letters
	Stored   time.Time // when it was stored there
	Reason   string    // one of Reasons
	Detail   string
	Subject  string // where the job was published
	Stream   string
	Sequence uint64      // of the job in its stream, 0 if unknown
	Part     string      // "1/2" or "2/2" of a job that was too large for one message
	Header   nats.Header // the job's own, without those for the broker
	Body     []byte
}

// parse separates the job from what was written about it.
func parse(seq uint64, stored time.Time, subject string, header nats.Header, body []byte) Message {
	// The client's strings are parts of the whole header block: a list of dead
	// letters would hold all of it.
	ours := func(name string) string { return strings.Clone(header.Get(name)) }
	m := Message{
		Seq: seq, Stored: stored, Body: body, Header: nats.Header{},
		Reason: ours(HeaderReason), Detail: oneLine(ours(HeaderDetail)),
		Subject: ours(HeaderSubject), Stream: ours(HeaderStream), Part: ours(HeaderPart),
	}
	if m.Reason == "" {
		m.Reason = strings.TrimPrefix(subject, SubjectPrefix)
	}
	m.Sequence, _ = strconv.ParseUint(header.Get(HeaderSequence), 10, 64)
	own := header
	if moved, rest, ok := movedHeaders(header, body); ok {
		own, m.Body = moved, rest
	}
	for name, values := range own {
		lower := strings.ToLower(name)
		if !strings.HasPrefix(lower, "capture-") && !strings.HasPrefix(lower, "nats-") {
			m.Header[name] = values
		}
	}
	return m
}

// build makes the dead letter of a job, and the id by which the broker recognises
// a repeated one.
func build(m jetstream.Msg, reason, detail string) (letter *nats.Msg, id string, err error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, "", fmt.Errorf("reading the metadata of a job: %w", err)
	}
	letter = nats.NewMsg(SubjectPrefix + reason)
	letter.Data = m.Data()
	for name, values := range m.Headers() {
		if strings.HasPrefix(strings.ToLower(name), "nats-") {
			name = HeaderOriginal + name
		}
		letter.Header[name] = values
	}
	sequence := strconv.FormatUint(meta.Sequence.Stream, 10)
	letter.Header.Set(HeaderReason, reason)
	letter.Header.Set(HeaderDetail, oneLine(detail))
	letter.Header.Set(HeaderSubject, m.Subject())
	letter.Header.Set(HeaderStream, meta.Stream)
	letter.Header.Set(HeaderSequence, sequence)
	letter.Header.Set(HeaderTime, meta.Timestamp.UTC().Format(time.RFC3339Nano))
	// The time is part of the id because a recreated stream counts from 1 again.
	id = fmt.Sprintf("%s-%s-%d-%s", meta.Stream, sequence, meta.Timestamp.UnixNano(), reason)
	return letter, id, nil
}

// ourHeaders returns the headers of a dead letter that are about the job.
func ourHeaders(letter *nats.Msg) nats.Header {
	header := nats.Header{}
	for _, name := range []string{HeaderReason, HeaderDetail, HeaderSubject, HeaderStream, HeaderSequence, HeaderTime} {
		header.Set(name, letter.Header.Get(name))
	}
	return header
}

// split divides a dead letter in two; the second half has our headers only.
func split(letter *nats.Msg) []*nats.Msg {
	first, second := nats.NewMsg(letter.Subject), nats.NewMsg(letter.Subject)
	middle := len(letter.Data) / 2
	first.Data, second.Data = letter.Data[:middle], letter.Data[middle:]
	first.Header, second.Header = maps.Clone(letter.Header), ourHeaders(letter)
	first.Header.Set(HeaderPart, "1/2")
	second.Header.Set(HeaderPart, "2/2")
	return []*nats.Msg{first, second}
}

// headerLine begins a block of headers on the wire.
const headerLine = "NATS/1.0\r\n"

// moveHeaders returns the dead letter of a job with the job's own headers at the
// start of the body.
func moveHeaders(letter *nats.Msg, own nats.Header) *nats.Msg {
	var block bytes.Buffer
	block.WriteString(headerLine)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		for _, value := range own[name] {
			block.WriteString(name + ": " + value + "\r\n")
		}
	}
	block.WriteString("\r\n")
	moved := nats.NewMsg(letter.Subject)
	moved.Header = ourHeaders(letter)
	moved.Header.Set(HeaderHeaders, strconv.Itoa(block.Len()))
	moved.Data = append(block.Bytes(), letter.Data...)
	return moved
}

// movedHeaders takes the job's own headers from the start of the body. It is not ok
// if they are not there, or are cut off: then the body is left as it is.
func movedHeaders(header nats.Header, body []byte) (own nats.Header, rest []byte, ok bool) {
	n, err := strconv.Atoi(header.Get(HeaderHeaders))
	if err != nil || n < len(headerLine) || n > len(body) {
		return nil, nil, false
	}
	own, err = nats.DecodeHeadersMsg(body[:n])
	return own, body[n:], err == nil
}

// oneLine replaces control characters, which would end a header early.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
