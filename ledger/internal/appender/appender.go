// Package appender publishes the ledger's events to its JetStream stream: each
// with its guard, singly or in atomic batches, over one reply subscription.
//
// It makes one try per call. What to do about a try whose outcome is not known
// is decided by package ledger.
package appender

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
)

// MaxQueue bounds the appends that wait for a batch. Further ones are sent
// singly.
const MaxQueue = 4 * maxBatch

var (
	// errSendSingly means that the batch was not stored; each of its events is to
	// be sent by itself.
	errSendSingly = errors.New("to be sent singly")
	// errNotSent means that the append was cancelled before anything was sent.
	errNotSent = errors.New("not sent")
)

// Config says where events go, and how. All fields but the last two are required.
type Config struct {
	Conn    *nats.Conn
	Stream  string        // name of the stream
	Source  string        // ce-source of the events
	Timeout time.Duration // for one reply of the server
	// InfoSubject is the API subject that returns the stream's configuration.
	InfoSubject string
	Mode        Mode
	// Chosen, if set, is called with each choice of how appends are sent that
	// differs from the last one. It must not block.
	Chosen func(Choice)
}

// Appender publishes events. While one group of appends is under way, further
// ones queue; each reply sends what has queued meanwhile, so that one sync of
// the server serves many appends. No append waits for a batch to fill: the caller
// that finds nothing under way sends at once. There is no goroutine but the one that
// waits for the PONG of a probe; Close, or the end of the connection, ends it. If batches do not pay, every append is sent directly, see batchPolicy and probe.
type Appender struct {
	inbox       *inbox
	stream      string
	source      string
	infoSubject string
	chosen      func(Choice)
	pool        sync.Pool // of *Message

	mu        sync.Mutex
	policy    batchPolicy
	queue     []*Message
	busy      bool // a group is under way
	infoAsked bool // a request for the stream's configuration is under way
}

// New returns an Appender. It sends nothing before the first Publish.
func New(c Config) *Appender {
	a := &Appender{stream: c.Stream, source: c.Source, infoSubject: c.InfoSubject, chosen: c.Chosen}
	a.policy.mode = c.Mode
	a.inbox = &inbox{nc: c.Conn, timeout: c.Timeout, sampled: a.sampled, probed: a.probed}
	return a
}

// Close ends the subscription for replies. Appends under way fail with an
// error that Classify reports as MaybeStored; later ones fail as Refused.
func (a *Appender) Close() error { return a.inbox.close() }

// SetMode replaces the configured mode. It is for tests and benchmarks.
func (a *Appender) SetMode(m Mode) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.policy.mode, a.policy.batching = m, m == Always
}

// State reports whether appends are sent in batches, and how many wait for one.
func (a *Appender) State() (batching bool, queued int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.policy.batching, len(a.queue)
}

// Message returns the message that stores e as the event of its trade that
// follows the sequence after. header may add headers, see Reserved. The message
// belongs to the caller until Release.
func (a *Appender) Message(e *capture.Event, after uint64, header nats.Header) (*Message, error) {
	m, ok := a.pool.Get().(*Message)
	if !ok {
		m = newMessage(a.stream, a.source)
	}
	if err := m.fill(e, after, header); err != nil {
		a.Release(m)
		return nil, err
	}
	return m, nil
}

// Release takes a message back. It must not be used afterwards.
func (a *Appender) Release(m *Message) {
	if m.leaked {
		return
	}
	m.setExtra(nil)
	m.unbatch()
	a.pool.Put(m)
}

// Publish makes one try to store the event, singly or in a batch. Classify returns
// what an error means for the event.
func (a *Appender) Publish(ctx context.Context, m *Message) (seq uint64, err error) {
	if !a.enqueue(m) {
		return a.inbox.publish(ctx, m)
	}
	select {
	case got := <-m.result:
		if errors.Is(got.err, errSendSingly) {
			return a.inbox.publish(ctx, m)
		}
		return got.seq, got.err
	case <-ctx.Done():
	}
	if a.dequeue(m) {
		return 0, fmt.Errorf("%w: %w", errNotSent, ctx.Err())
	}
	m.leaked = true // its group still reads it
	return 0, ctx.Err()
}

// PublishSingly is Publish without a batch.
func (a *Appender) PublishSingly(ctx context.Context, m *Message) (seq uint64, err error) {
	return a.inbox.publish(ctx, m)
}

// enqueue reports whether the message was queued; if not, it is to be sent
// singly.
func (a *Appender) enqueue(m *Message) bool {
	a.mu.Lock()
	if !a.policy.batching || len(a.queue) >= MaxQueue {
		ask := a.policy.mode == On && !a.infoAsked && a.policy.mayBegin(time.Now())
		a.infoAsked = a.infoAsked || ask
		a.mu.Unlock()
		if ask {
			a.askStream()
		}
		return false
	}
	a.queue = append(a.queue, m)
	idle := !a.busy
	a.mu.Unlock()
	if idle {
		a.sendNext()
	}
	return true
}

// dequeue reports whether the message was still queued, and removes it.
func (a *Appender) dequeue(m *Message) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, queued := range a.queue {
		if queued == m {
			a.queue = append(a.queue[:i], a.queue[i+1:]...)
			return true
		}
	}
	return false
}

// sendNext sends the next group unless one is under way.
func (a *Appender) sendNext() {
	for g := a.nextGroup(); g != nil && !g.send(); g = a.nextGroup() {
	}
}

// nextGroup takes a group out of the queue. A group has at most one event of a
// trade: the server checks the guards of a batch against what is stored, so two
// events of one trade could both pass.
func (a *Appender) nextGroup() *group {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy || len(a.queue) == 0 {
		return nil
	}
	now := time.Now()
	limit, resampling := a.policy.groupLimit(now)
	limit = min(limit, len(a.queue))
	g := &group{a: a, began: now, members: make([]*Message, 0, limit)}
	trades := make(map[string]bool, limit)
	rest := a.queue[:0]
	for _, m := range a.queue {
		if trade := m.values[hTrade]; len(g.members) < limit && !trades[trade] {
			trades[trade] = true
			g.members = append(g.members, m)
		} else {
			rest = append(rest, m)
		}
	}
	g.batch = !resampling && a.policy.worthBatch(len(g.members))
	clear(a.queue[len(rest):])
	a.queue, a.busy = rest, true
	return g
}

// groupEnded is called after all members of a group have their results.
func (a *Appender) groupEnded(g *group) {
	now := time.Now()
	n, took := len(g.members), now.Sub(g.began)
	a.mu.Lock()
	a.busy = false
	switch {
	case !g.batch:
		a.policy.timedSingles(now, n, took)
	case g.end == batchStored, g.end == batchRefused:
		a.policy.timedBatch(now, n, took, g.end == batchRefused)
	case g.end == batchDisabled:
		a.policy.disable(now, WhyRefused)
	default:
		a.policy.suspend(now, WhySlow)
	}
	if took > a.inbox.timeout/2 { // other appends must not queue behind this
		a.policy.suspend(now, WhySlow)
	}
	var left []*Message
	if !a.policy.batching {
		left, a.queue = a.queue, nil
	}
	choice, news := a.policy.takeNews()
	a.mu.Unlock()
	a.tell(choice, news)
	for _, m := range left {
		m.result <- result{err: errSendSingly}
	}
}

// tell reports a choice if it is news.
func (a *Appender) tell(c Choice, news bool) {
	if news && a.chosen != nil {
		a.chosen(c)
	}
}

// sampled takes the cost of an append that was sent singly.
func (a *Appender) sampled(cost time.Duration) {
	a.mu.Lock()
	a.policy.timedSingle(time.Now(), cost)
	probing := a.policy.probing
	a.mu.Unlock()
	a.inbox.probing.Store(probing)
}

// probed takes a probe, and asks for the stream's configuration if batches are
// worth a try.
func (a *Appender) probed(result probe) {
	a.mu.Lock()
	ask := a.policy.probed(time.Now(), result) && !a.infoAsked
	a.infoAsked = a.infoAsked || ask
	probing := a.policy.probing
	choice, news := a.policy.takeNews()
	a.mu.Unlock()
	a.inbox.probing.Store(probing)
	a.tell(choice, news)
	if ask {
		a.askStream()
	}
}

// askStream asks for the stream's configuration.
func (a *Appender) askStream() {
	if _, err := a.inbox.send(&nats.Msg{Subject: a.infoSubject}, a); err != nil {
		a.replied(nil, err)
	}
}

// replied gets the stream's configuration.
func (a *Appender) replied(info *nats.Msg, err error) {
	stream := readStreamInfo(info, err).Config
	a.mu.Lock()
	a.infoAsked = false
	switch {
	case err != nil:
		a.policy.suspend(time.Now(), WhyUnknown)
	case !stream.AllowAtomic:
		a.policy.disable(time.Now(), WhyRefused)
	case stream.Replicas > 1 && a.policy.mode == Auto:
		a.policy.disable(time.Now(), WhyReplicated)
	default:
		a.policy.begin(time.Now())
	}
	choice, news := a.policy.takeNews()
	a.mu.Unlock()
	a.tell(choice, news)
}
