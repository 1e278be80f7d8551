package ledger

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

// What a server says to a batch, beside what it says to any publish.
const (
	codeBatchDisabled    jetstream.ErrorCode = 10174
	codeBatchUnsupported jetstream.ErrorCode = 10177
	codeBatchTooLarge    jetstream.ErrorCode = 10199
)

// batchEnd is how a batch ended.
type batchEnd int

const (
	batchLost      batchEnd = iota // it may be stored, or arrive later
	batchStored                    // all of it
	batchRefused                   // none of it, because of some event in it
	batchTooLarge                  // none of it
	batchForbidden                 // none of it, nor of any other
	batchUnsent                    // none of it: it could not be sent whole
)

var errNotWhole = errors.New("the answer is not that of a batch")

// group is what the committer has under way: a batch that is stored as a whole
// or not at all, or a few events each by itself.
type group struct {
	c       *committer
	members []*envelope
	batch   bool
	began   time.Time
	id      string   // of the batch
	end     batchEnd // of the batch
	// left counts who may still look at the members: send itself, and the
	// answers to come. Only then is a member told, for whoever is told may use
	// his envelope again.
	left atomic.Int32
}

// send reports whether the group is under way; if not, it has ended.
func (g *group) send() bool {
	if g.batch {
		return g.sendBatch()
	}
	g.left.Store(int32(len(g.members)) + 1)
	for _, v := range g.members {
		v.group = g
		v.unbatch()
		if _, err := g.c.inbox.send(&v.msg, v); err != nil {
			v.answered(nil, err)
		}
	}
	return !g.done()
}

// done counts one off. With the last it tells all members, and the committer
// that the group has ended.
func (g *group) done() bool {
	if g.left.Add(-1) > 0 {
		return false
	}
	for _, v := range g.members {
		got := v.got
		v.group = nil
		v.answer <- got
	}
	g.c.ended(g)
	return true
}

// told is called with each answer to the group, or to a member of one that goes
// one by one.
func (g *group) told() {
	if g.done() {
		g.c.run()
	}
}

// sendBatch sends the events in order; the last one commits and is the only one
// that is answered. Without it the server stores nothing.
func (g *group) sendBatch() bool {
	g.id = nuid.Next()
	last := len(g.members) - 1
	for i, v := range g.members {
		v.batch(g.id, i+1, i == last)
	}
	g.left.Store(2)
	number, reply, err := g.c.inbox.expect(g)
	if err != nil {
		g.unsent()
		return !g.done()
	}
	g.members[last].msg.Reply = reply
	for _, v := range g.members {
		if err := g.c.inbox.nc.PublishMsg(&v.msg); err != nil {
			if g.c.inbox.forget(number) { // else it was answered at the same moment
				g.unsent()
			}
			break
		}
	}
	return !g.done()
}

// unsent gives up a batch that nobody will answer.
func (g *group) unsent() {
	g.ends(batchUnsent, 0, errAlone)
	g.left.Add(-1)
}

// answered is receiver.answered for the batch as a whole.
func (g *group) answered(m *nats.Msg, err error) {
	var got ack
	if err == nil {
		got, err = readAck(m, g.c.stream)
	}
	n := uint64(len(g.members))
	switch {
	case err == nil && got.batch == g.id && uint64(got.count) == n && got.seq >= n:
		g.ends(batchStored, got.seq-n+1, nil)
	case err == nil:
		g.ends(batchLost, 0, errNotWhole)
	case judge(err) == maybeStored:
		g.ends(batchLost, 0, err)
	default:
		g.ends(refusal(err), 0, errAlone)
	}
	g.told()
}

func refusal(err error) batchEnd {
	api, ok := errors.AsType[*jetstream.APIError](err)
	switch {
	case !ok:
		return batchUnsent
	case api.ErrorCode == codeBatchTooLarge:
		return batchTooLarge
	case api.ErrorCode == codeBatchDisabled, api.ErrorCode == codeBatchUnsupported:
		return batchForbidden
	}
	return batchRefused
}

// ends keeps how the batch ended, for all members. The server gives the events
// of a batch places in a row, from first on.
func (g *group) ends(end batchEnd, first uint64, err error) {
	g.end = end
	for i, v := range g.members {
		v.got = answer{err: err}
		if err == nil {
			v.got.seq = first + uint64(i)
		}
	}
}

// batch makes an envelope part of a batch.
func (v *envelope) batch(id string, n int, commit bool) {
	v.unbatch()
	v.values[hBatchID], v.values[hBatchSeq] = id, strconv.Itoa(n)
	v.put(hBatchID)
	v.put(hBatchSeq)
	if commit {
		v.values[hBatchCommit] = "1"
		v.put(hBatchCommit)
	}
	v.msg.Reply, v.batched = "", true
}

// unbatch undoes batch.
func (v *envelope) unbatch() {
	if !v.batched {
		return
	}
	for _, i := range []int{hBatchID, hBatchSeq, hBatchCommit} {
		delete(v.msg.Header, headerNames[i])
	}
	v.batched = false
}

// takesBatches reads the answer to STREAM.INFO. A server before 2.12 knows no
// batches and never says that it allows them.
func takesBatches(info []byte) bool {
	var got struct {
		Config struct {
			AllowAtomic bool `json:"allow_atomic"`
		} `json:"config"`
	}
	return json.Unmarshal(info, &got) == nil && got.Config.AllowAtomic
}
