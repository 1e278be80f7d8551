package ledger

import (
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/capture-worker/capture-worker/capture"
)

// The headers of every event, by their place in an envelope.
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
	usual    // so many stand in every event; the rest in those of a batch
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
	hAfter:        headerAfter,
	hExpectLast:   jetstream.ExpectedLastSubjSeqHeader,
	hExpectFor:    jetstream.ExpectedLastSubjSeqSubjHeader,
	hBatchID:      jetstreamext.BatchIDHeader,
	hBatchSeq:     jetstreamext.BatchSeqHeader,
	hBatchCommit:  jetstreamext.BatchCommitHeader,
}

// envelope is one event as the server is sent it: a CloudEvent 1.0 in binary
// mode (see the NATS protocol binding of the CloudEvents specification) with
// the ledger's guard. It is filled again and again: the map of the headers
// stays, each name's value lies in values.
type envelope struct {
	msg    nats.Msg
	values [headers]string
	given  nats.Header // by WithHeaders, among those of msg
	text   []byte      // scratch
	answer chan answer // to the try under way
	group  *group      // that the try belongs to, where it goes by itself in one
	got    answer      // in a group: what answer will be given

	batched bool // it has the headers of a batch
	lent    bool // others may look at it for ever
}

// answer is what came back for one try.
type answer struct {
	seq uint64
	err error
}

// answered is receiver.answered.
func (v *envelope) answered(m *nats.Msg, err error) {
	var got ack
	if err == nil {
		got, err = readAck(m, v.values[hExpectStream])
	}
	if v.group != nil {
		v.got = answer{got.seq, err}
		v.group.told()
		return
	}
	v.answer <- answer{got.seq, err}
}

func newEnvelope(stream, source string) *envelope {
	v := &envelope{answer: make(chan answer, 1)}
	v.values[hSpecVersion], v.values[hContentType] = "1.0", "application/json"
	v.values[hSource], v.values[hExpectStream] = source, stream
	v.msg.Header = make(nats.Header, headers+1)
	for i := range usual {
		v.put(i)
	}
	return v
}

// put gives the message a header, whose value stands, or will, in values.
func (v *envelope) put(i int) { v.msg.Header[headerNames[i]] = v.values[i : i+1 : i+1] }

// fill puts an event in. All the text it makes for headers is one string, cut in
// parts; the event is written where the one before stood.
func (v *envelope) fill(e *capture.Event, after uint64, given nats.Header) (err error) {
	if v.msg.Data, err = e.AppendTo(v.msg.Data[:0]); err != nil {
		return err
	}
	b, cuts := v.text[:0], [5]int{}
	b = append(append(append(b, subjectPrefix...), e.TradeID...), '.')
	b = append(b, e.Type...)
	cuts[0] = len(b)
	b = append(append(append(b, subjectPrefix...), e.TradeID...), ".>"...)
	cuts[1] = len(b)
	b = append(append(b, "capture."...), e.Type...)
	cuts[2] = len(b)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	cuts[3] = len(b)
	b = strconv.AppendUint(b, after, 10)
	v.text = b

	s := string(b)
	v.msg.Subject = s[:cuts[0]]
	v.values[hExpectFor] = s[cuts[0]:cuts[1]]
	v.values[hType] = s[cuts[1]:cuts[2]]
	v.values[hTime] = s[cuts[2]:cuts[3]]
	v.values[hAfter], v.values[hExpectLast] = s[cuts[3]:], s[cuts[3]:]
	v.values[hID], v.values[hTrade] = e.ID, e.TradeID
	v.give(given)
	return nil
}

// give adds the headers of WithHeaders in the place of those before.
func (v *envelope) give(given nats.Header) {
	for name := range v.given {
		if !reserved(name) {
			delete(v.msg.Header, name)
		}
	}
	v.given = given
	for name, values := range given {
		if !reserved(name) {
			v.msg.Header[name] = values
		}
	}
}

// envelopes are those that nobody uses.
type envelopes struct {
	stream, source string
	pool           sync.Pool
}

func (p *envelopes) take() *envelope {
	if v, ok := p.pool.Get().(*envelope); ok {
		return v
	}
	return newEnvelope(p.stream, p.source)
}

// giveBack takes an envelope that nobody will look at any more, unless it is
// lent.
func (p *envelopes) giveBack(v *envelope) {
	if v.lent {
		return
	}
	v.give(nil)
	v.unbatch()
	p.pool.Put(v)
}
