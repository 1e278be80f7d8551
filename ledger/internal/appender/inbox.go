package appender

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

var (
	errNoReply    = fmt.Errorf("no reply from the server in time: %w", context.DeadlineExceeded)
	errConnClosed = errors.New("the connection was closed before the server replied")
	errClosed     = errors.New("the ledger is closed")
)

// receiver gets the reply to a message, once. It must not block.
type receiver interface {
	// replied gets the server's message, or why there is none: errNoReply or
	// errConnClosed.
	replied(m *nats.Msg, err error)
}

// inbox receives the server's replies: one subscription and one timer for all
// messages under way. The subscription is made with the first message and ends
// with the connection or with close.
type inbox struct {
	nc      *nats.Conn
	timeout time.Duration // for a reply
	// sampled gets the cost of one of many messages under way at once.
	sampled func(cost time.Duration)
	// probed gets the result of a probe. The inbox makes probes while probing is
	// set, one at a time.
	probed  func(probe)
	probing atomic.Bool

	mu      sync.Mutex
	sub     *nats.Subscription
	prefix  string // of the reply subjects; a number follows
	last    uint64
	waiting map[uint64]wait
	timer   *time.Timer // runs while a receiver waits
	due     time.Time   // when it fires; zero if it does not run
	closed  bool
	sampler latencySampler
	under   *trip     // the probe under way
	rested  time.Time // the next probe may begin
	trips   sync.WaitGroup
}

type wait struct {
	to    receiver
	until time.Time
}

// publish makes one try to store an event by itself. When it returns, nothing
// else reads the message. The error is that of the connection, of ctx, of
// readAck or of a receiver.
func (in *inbox) publish(ctx context.Context, m *Message) (seq uint64, err error) {
	m.unbatch()
	number, err := in.send(&m.msg, m)
	if err != nil {
		return 0, err
	}
	select {
	case got := <-m.result:
		return got.seq, got.err
	case <-ctx.Done():
	}
	if in.forget(number) {
		return 0, ctx.Err()
	}
	got := <-m.result // the reply came at the same moment
	return got.seq, got.err
}

// send publishes a message whose reply goes to a receiver, and returns a number
// for forget. After an error the receiver is not called.
func (in *inbox) send(m *nats.Msg, to receiver) (number uint64, err error) {
	number, m.Reply, err = in.expect(to)
	if err != nil {
		return 0, err
	}
	if err := in.nc.PublishMsg(m); err != nil {
		if in.forget(number) {
			return 0, err
		}
	}
	if in.probing.Load() {
		in.startProbe(number)
	}
	return number, nil
}

// expect registers a receiver and returns the subject for its reply.
func (in *inbox) expect(to receiver) (number uint64, reply string, err error) {
	now := time.Now()
	until := now.Add(in.timeout)
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.open(); err != nil {
		return 0, "", err
	}
	in.last++
	in.waiting[in.last] = wait{to, until}
	in.wakeAt(until)
	in.sampler.sent(now, len(in.waiting))
	var b [64]byte
	return in.last, string(strconv.AppendUint(append(b[:0], in.prefix...), in.last, 36)), nil
}

// open subscribes if that has not been done. mu is held.
func (in *inbox) open() error {
	if in.closed {
		return errClosed
	}
	if in.sub != nil {
		return nil
	}
	prefix := in.nc.NewInbox() + "."
	sub, err := in.nc.Subscribe(prefix+"*", func(m *nats.Msg) { in.arrived(m.Subject[len(prefix):], m) })
	if err != nil {
		return err
	}
	sub.SetClosedHandler(func(string) { in.ended() })
	in.sub, in.prefix, in.waiting = sub, prefix, map[uint64]wait{}
	return nil
}

// forget removes a receiver. It returns false if the reply was, or is just
// being, delivered.
func (in *inbox) forget(number uint64) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	_, was := in.waiting[number]
	delete(in.waiting, number)
	in.sampler = latencySampler{}
	if in.under != nil && in.under.number == number {
		in.under = nil
	}
	return was
}

// arrived is called with every reply, one at a time.
func (in *inbox) arrived(token string, m *nats.Msg) {
	number, err := strconv.ParseUint(token, 36, 64)
	if err != nil {
		return
	}
	in.mu.Lock()
	w, ok := in.waiting[number]
	if !ok {
		in.mu.Unlock()
		return
	}
	delete(in.waiting, number)
	cost, known := in.sampler.replied(len(in.waiting))
	result, measured := in.endProbe(number)
	in.mu.Unlock()
	w.to.replied(m, nil)
	if known {
		in.sampled(cost)
	}
	if measured {
		in.probed(result)
	}
}

// wakeAt makes the timer fire at until, or before. mu is held.
func (in *inbox) wakeAt(until time.Time) {
	if !in.due.IsZero() && !until.Before(in.due) {
		return
	}
	in.due = until
	if in.timer == nil {
		in.timer = time.AfterFunc(time.Until(until), in.expire)
		return
	}
	in.timer.Reset(time.Until(until))
}

// expire ends the waits whose time is over. It runs once per timeout and visits
// all waits. A queue by deadline would make that cheaper and each append more
// expensive.
func (in *inbox) expire() {
	now := time.Now()
	var late []receiver
	in.mu.Lock()
	in.due, in.sampler, in.under = time.Time{}, latencySampler{}, nil
	var next time.Time
	for number, w := range in.waiting {
		if !now.Before(w.until) {
			late = append(late, w.to)
			delete(in.waiting, number)
		} else if next.IsZero() || w.until.Before(next) {
			next = w.until
		}
	}
	if !next.IsZero() {
		in.wakeAt(next)
	}
	in.mu.Unlock()
	for _, to := range late {
		to.replied(nil, errNoReply)
	}
}

// ended is called when the subscription has ended: no reply will come.
func (in *inbox) ended() {
	in.mu.Lock()
	left := in.waiting
	in.waiting, in.sub, in.sampler, in.under = map[uint64]wait{}, nil, latencySampler{}, nil
	in.mu.Unlock()
	for _, w := range left {
		w.to.replied(nil, errConnClosed)
	}
}

// close ends the subscription and waits for the probe under way. Receivers that
// wait get errConnClosed.
func (in *inbox) close() error {
	defer in.trips.Wait()
	in.probing.Store(false)
	in.mu.Lock()
	sub := in.sub
	in.closed, in.sub = true, nil
	if in.timer != nil {
		in.timer.Stop()
		in.due = time.Time{}
	}
	in.mu.Unlock()
	if sub == nil || in.nc.IsClosed() {
		return nil
	}
	return sub.Unsubscribe()
}
