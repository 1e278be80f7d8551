package appender

import (
	"encoding/json"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Error codes with which a server refuses a batch as such.
const (
	codeBatchDisabled    jetstream.ErrorCode = 10174
	codeBatchUnsupported jetstream.ErrorCode = 10177
	codeBatchTooLarge    jetstream.ErrorCode = 10199
)

// batchEnd is how a batch ended.
type batchEnd int

const (
	batchLost     batchEnd = iota // it may be stored, or be stored later
	batchStored                   // all of it
	batchRefused                  // none of it, because of one of its events
	batchDisabled                 // none of it: the server does not accept such batches
	batchNotSent                  // none of it: it could not be sent whole
)

var errNotWhole = errors.New("the reply does not match the batch")

// group is what an Appender has under way: a batch, which is stored as a whole
// or not at all, or a few events that are sent singly.
type group struct {
	a       *Appender
	members []*Message
	batch   bool
	began   time.Time
	id      string   // of the batch
	end     batchEnd // of the batch
	// pending counts who may still read the members: send itself, and the
	// replies to come. Results are delivered only when it is zero, because a
	// caller that has its result may release its message.
	pending atomic.Int32
}

// send reports whether the group is under way; if not, it has ended.
func (g *group) send() bool {
	if g.batch {
		return g.sendBatch()
	}
	g.pending.Store(int32(len(g.members)) + 1)
	for _, m := range g.members {
		m.group = g
		m.unbatch()
		if _, err := g.a.inbox.send(&m.msg, m); err != nil {
			m.replied(nil, err)
		}
	}
	return !g.done()
}

// done decrements pending. At zero it delivers the results, ends the group and
// returns true.
func (g *group) done() bool {
	if g.pending.Add(-1) > 0 {
		return false
	}
	for _, m := range g.members {
		got := m.got
		m.group = nil
		m.result <- got
	}
	g.a.groupEnded(g)
	return true
}

// complete is called with each reply to the batch, or to a member that was sent
// singly.
func (g *group) complete() {
	if g.done() {
		g.a.sendNext()
	}
}

// sendBatch sends the events in order. The last one commits the batch and is
// the only one that is replied to; without it the server stores nothing.
func (g *group) sendBatch() bool {
	g.id = nuid.Next()
	last := len(g.members) - 1
	for i, m := range g.members {
		m.inBatch(g.id, i+1, i == last)
	}
	g.pending.Store(2)
	number, reply, err := g.a.inbox.expect(g)
	if err != nil {
		g.notSent()
		return !g.done()
	}
	g.members[last].msg.Reply = reply
	for _, m := range g.members {
		if err := g.a.inbox.nc.PublishMsg(&m.msg); err != nil {
			if g.a.inbox.forget(number) { // otherwise the reply came at the same moment
				g.notSent()
			}
			break
		}
	}
	return !g.done()
}

// notSent ends a batch that gets no reply.
func (g *group) notSent() {
	g.setEnd(batchNotSent, 0, errSendSingly)
	g.pending.Add(-1)
}

// replied implements receiver for the batch as a whole.
func (g *group) replied(m *nats.Msg, err error) {
	var got ack
	if err == nil {
		got, err = readAck(m, g.a.stream)
	}
	n := uint64(len(g.members))
	switch {
	case err == nil && got.batch == g.id && uint64(got.count) == n && got.seq >= n:
		g.setEnd(batchStored, got.seq-n+1, nil)
	case err == nil:
		g.setEnd(batchLost, 0, errNotWhole)
	case Classify(err) == MaybeStored:
		g.setEnd(batchLost, 0, err)
	default:
		g.setEnd(refusedEnd(err), 0, errSendSingly)
	}
	g.complete()
}

func refusedEnd(err error) batchEnd {
	api, ok := errors.AsType[*jetstream.APIError](err)
	switch {
	case !ok:
		return batchNotSent
	case api.ErrorCode == codeBatchDisabled, api.ErrorCode == codeBatchUnsupported, api.ErrorCode == codeBatchTooLarge:
		return batchDisabled
	}
	return batchRefused
}

// setEnd sets how the batch ended, and the result of each member. The server
// gives the events of a batch consecutive sequences, starting with first.
func (g *group) setEnd(end batchEnd, first uint64, err error) {
	g.end = end
	for i, m := range g.members {
		m.got = result{err: err}
		if err == nil {
			m.got.seq = first + uint64(i)
		}
	}
}

// inBatch makes a message the n-th one of a batch.
func (m *Message) inBatch(id string, n int, commit bool) {
	m.unbatch()
	m.values[hBatchID], m.values[hBatchSeq] = id, strconv.Itoa(n)
	m.set(hBatchID)
	m.set(hBatchSeq)
	if commit {
		m.values[hBatchCommit] = "1"
		m.set(hBatchCommit)
	}
	m.msg.Reply, m.batched = "", true
}

// unbatch undoes inBatch.
func (m *Message) unbatch() {
	if !m.batched {
		return
	}
	for _, i := range []int{hBatchID, hBatchSeq, hBatchCommit} {
		delete(m.msg.Header, headerNames[i])
	}
	m.batched = false
}

// streamInfo is what a reply to STREAM.INFO says about batches.
type streamInfo struct {
	Config struct {
		AllowAtomic bool `json:"allow_atomic"` // servers before 2.12 never say so
		Replicas    int  `json:"num_replicas"`
	} `json:"config"`
}

// readStreamInfo returns the zero value if there is no reply, or it cannot be read.
func readStreamInfo(reply *nats.Msg, err error) (info streamInfo) {
	if err != nil || json.Unmarshal(reply.Data, &info) != nil {
		return streamInfo{}
	}
	return info
}
