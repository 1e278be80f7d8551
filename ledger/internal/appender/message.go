package appender

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/capture-worker/capture-worker/capture"
)

// SubjectPrefix starts every subject: captures.<trade_id>.<event>.
const SubjectPrefix = "captures."

// HeaderAfter carries the sequence of the trade's previous event, so that a walk
// recognises a trade's first event without remembering the trades.
const HeaderAfter = "Capture-After"

// Headers of an event, by their index in Message.values.
const (
	hSpecVersion = iota
	hContentType
	hSource
	hExpectStream
	hID
	hType
	hTrade
	hTime
	hAfter
	hExpectLast
	hExpectFor
	usual    // the number of headers of every event; the rest are those of a batch
	hBatchID = iota - 1
	hBatchSeq
	hBatchCommit
	headers
)

var headerNames = [headers]string{
	hSpecVersion:  "ce-specversion",
	hContentType:  "content-type",
	hSource:       "ce-source",
	hExpectStream: jetstream.ExpectedStreamHeader,
	hID:           "ce-id",
	hType:         "ce-type",
	hTrade:        "ce-subject",
	hTime:         "ce-time",
	hAfter:        HeaderAfter,
	hExpectLast:   jetstream.ExpectedLastSubjSeqHeader,
	hExpectFor:    jetstream.ExpectedLastSubjSeqSubjHeader,
	hBatchID:      jetstreamext.BatchIDHeader,
	hBatchSeq:     jetstreamext.BatchSeqHeader,
	hBatchCommit:  jetstreamext.BatchCommitHeader,
}

// Reserved reports whether a header name has a meaning to NATS, CloudEvents or
// the ledger. Status and Description are how a server reports that it has no
// message; an event with them would be read as such a report.
func Reserved(name string) bool {
	name = strings.ToLower(name)
	return name == "status" || name == "description" || strings.HasPrefix(name, "nats-") || strings.HasPrefix(name, "ce-") ||
		name == "content-type" || name == strings.ToLower(HeaderAfter)
}

// Message is one event as it is sent: a CloudEvent 1.0 in binary mode (NATS
// protocol binding) with the guard. Messages are reused, since allocating the
// header map costs more than all else: the map is kept, and each of its values
// is an element of values.
type Message struct {
	msg    nats.Msg
	values [headers]string
	extra  nats.Header // the caller's headers among those of msg
	text   []byte      // scratch
	result chan result // of the try under way
	group  *group      // if the message is sent singly as part of a group
	got    result      // what result will be sent when the group is done

	batched bool // it has the headers of a batch
	leaked  bool // others may read it for an unknown time: never reuse it
}

// result is the outcome of one try.
type result struct {
	seq uint64
	err error
}

// replied implements receiver.
func (m *Message) replied(reply *nats.Msg, err error) {
	var got ack
	if err == nil {
		got, err = readAck(reply, m.values[hExpectStream])
	}
	if m.group != nil {
		m.got = result{got.seq, err}
		m.group.complete()
		return
	}
	m.result <- result{got.seq, err}
}

func newMessage(stream, source string) *Message {
	m := &Message{result: make(chan result, 1)}
	m.values[hSpecVersion], m.values[hContentType] = "1.0", "application/json"
	m.values[hSource], m.values[hExpectStream] = source, stream
	m.msg.Header = make(nats.Header, headers+1)
	for i := range usual {
		m.set(i)
	}
	return m
}

// set adds a header whose value is, or will be, the element i of values.
func (m *Message) set(i int) { m.msg.Header[headerNames[i]] = m.values[i : i+1 : i+1] }

// fill writes an event into the message. The text of all its headers is one
// string, of which each value is a part.
func (m *Message) fill(e *capture.Event, after uint64, extra nats.Header) (err error) {
	if m.msg.Data, err = e.AppendTo(m.msg.Data[:0]); err != nil {
		return err
	}
	b, cuts := m.text[:0], [5]int{}
	b = append(append(append(b, SubjectPrefix...), e.TradeID...), '.')
	b = append(b, e.Type...)
	cuts[0] = len(b)
	b = append(append(append(b, SubjectPrefix...), e.TradeID...), ".>"...)
	cuts[1] = len(b)
	b = append(append(b, "capture."...), e.Type...)
	cuts[2] = len(b)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	cuts[3] = len(b)
	b = strconv.AppendUint(b, after, 10)
	m.text = b

	s := string(b)
	m.msg.Subject = s[:cuts[0]]
	m.values[hExpectFor] = s[cuts[0]:cuts[1]]
	m.values[hType] = s[cuts[1]:cuts[2]]
	m.values[hTime] = s[cuts[2]:cuts[3]]
	m.values[hAfter], m.values[hExpectLast] = s[cuts[3]:], s[cuts[3]:]
	m.values[hID], m.values[hTrade] = e.ID, e.TradeID
	m.setExtra(extra)
	return nil
}

// setExtra replaces the caller's headers.
func (m *Message) setExtra(extra nats.Header) {
	for name := range m.extra {
		if !Reserved(name) {
			delete(m.msg.Header, name)
		}
	}
	m.extra = extra
	for name, values := range extra {
		if !Reserved(name) {
			m.msg.Header[name] = values
		}
	}
}
