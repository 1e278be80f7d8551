package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// maxQueue bounds the appends that wait for their batch; those beyond go by
// themselves.
const maxQueue = 4 * most

var (
	// errAlone: the batch was not stored, and its event has to go by itself.
	errAlone = errors.New("to be sent alone")
	// errUnsent: the append was given up before anything was sent.
	errUnsent = errors.New("not sent")
)

// committer gathers appends while others are being stored, so that one sync of
// the server serves many. It has no goroutine: whoever appends while nothing is
// under way sends his event at once, and every answer sends what has gathered
// meanwhile. Where batches do not pay it stands aside, see way.
type committer struct {
	inbox  *inbox
	stream string
	info   string // the subject that asks for the stream's configuration

	mu     sync.Mutex
	way    way
	queue  []*envelope
	busy   bool // a group is under way
	asking bool // whether the stream takes batches
}

// publish is the first try to store an event, by itself or in a batch. Where
// ctx ends first the envelope may still be looked at, and is lent.
func (c *committer) publish(ctx context.Context, v *envelope) (seq uint64, err error) {
	if !c.add(v) {
		return c.inbox.publish(ctx, v)
	}
	select {
	case got := <-v.answer:
		if errors.Is(got.err, errAlone) {
			return c.inbox.publish(ctx, v)
		}
		return got.seq, got.err
	case <-ctx.Done():
	}
	if c.remove(v) {
		return 0, fmt.Errorf("%w: %w", errUnsent, ctx.Err())
	}
	v.lent = true
	return 0, ctx.Err()
}

// add enters an append, unless it should go by itself.
func (c *committer) add(v *envelope) bool {
	c.mu.Lock()
	if !c.way.batching || len(c.queue) >= maxQueue {
		c.mu.Unlock()
		return false
	}
	c.queue = append(c.queue, v)
	idle := !c.busy
	c.mu.Unlock()
	if idle {
		c.run()
	}
	return true
}

// remove takes an append out that has not been sent.
func (c *committer) remove(v *envelope) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, waits := range c.queue {
		if waits == v {
			c.queue = append(c.queue[:i], c.queue[i+1:]...)
			return true
		}
	}
	return false
}

// run sends the next group, where none is under way.
func (c *committer) run() {
	for g := c.next(); g != nil && !g.send(); g = c.next() {
	}
}

// next takes a group out of the queue. It has at most one event of a trade: the
// server would let two of them pass the same guard.
func (c *committer) next() *group {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy || len(c.queue) == 0 {
		return nil
	}
	now := time.Now()
	most, glancing := c.way.upTo(now)
	most = min(most, len(c.queue))
	g := &group{c: c, began: now, members: make([]*envelope, 0, most)}
	trades := make(map[string]bool, most)
	rest := c.queue[:0]
	for _, v := range c.queue {
		if trade := v.values[hTrade]; len(g.members) < most && !trades[trade] {
			trades[trade] = true
			g.members = append(g.members, v)
		} else {
			rest = append(rest, v)
		}
	}
	g.batch = !glancing && c.way.pays(len(g.members))
	clear(c.queue[len(rest):])
	c.queue, c.busy = rest, true
	return g
}

// ended is called when all of a group have been told.
func (c *committer) ended(g *group) {
	now := time.Now()
	n, took := len(g.members), now.Sub(g.began)
	c.mu.Lock()
	c.busy = false
	switch {
	case !g.batch:
		c.way.timedOneByOne(now, n, took)
	case g.end == batchStored, g.end == batchRefused:
		c.way.timedBatch(now, n, took, g.end == batchRefused)
	case g.end == batchTooLarge:
		c.way.shrink(now)
	case g.end == batchForbidden:
		c.way.forbid(now)
	default:
		c.way.leave(now)
	}
	if took > c.inbox.timeout/4 { // others must not wait behind what is so slow
		c.way.leave(now)
	}
	var left []*envelope
	if !c.way.batching {
		left, c.queue = c.queue, nil
	}
	c.mu.Unlock()
	for _, v := range left {
		v.answer <- answer{err: errAlone}
	}
}

// paced is told what an append costs that goes by itself.
func (c *committer) paced(cost time.Duration) {
	c.mu.Lock()
	ask := c.way.pace(time.Now(), cost) && !c.asking
	c.asking = c.asking || ask
	c.mu.Unlock()
	if !ask {
		return
	}
	if _, err := c.inbox.send(&nats.Msg{Subject: c.info}, c); err != nil {
		c.answered(nil, err)
	}
}

// answered gets the stream's configuration.
func (c *committer) answered(m *nats.Msg, err error) {
	takes := err == nil && takesBatches(m.Data)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking = false
	if takes {
		c.way.begin(time.Now())
	} else {
		c.way.forbid(time.Now())
	}
}
