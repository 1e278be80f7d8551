package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

var (
	errNoAnswer = fmt.Errorf("the server did not answer in time: %w", context.DeadlineExceeded)
	errHungUp   = errors.New("the connection was closed before the server answered")
	errClosed   = errors.New("the ledger is closed")
)

// receiver is told the answer to what it sent, once. It must not wait.
type receiver interface {
	// answered gets the server's message, or why there is none: errNoAnswer or
	// errHungUp.
	answered(m *nats.Msg, err error)
}

// inbox is where the server's answers come in: one subscription and one timer
// for all that is under way. The subscription is made with the first message
// and ends with the connection, or with close.
type inbox struct {
	nc      *nats.Conn
	timeout time.Duration // for an answer
	// paced is told what one of many messages under way at once costs.
	paced func(cost time.Duration)

	mu      sync.Mutex
	sub     *nats.Subscription
	prefix  string // of the reply subjects; a number follows
	last    uint64
	waiting map[uint64]wait
	timer   *time.Timer // runs while someone waits
	due     time.Time   // when it does; zero where it does not run
	closed  bool
	pace    pace
}

type wait struct {
	to    receiver
	until time.Time
}

// send publishes a message whose answer goes to a receiver. Where it returns an
// error the receiver will hear nothing; otherwise the number takes the message
// back, see forget.
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
	return number, nil
}

// expect enters a receiver and returns where its answer has to go.
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
	in.pace.sent(now, len(in.waiting))
	var b [64]byte
	return in.last, string(strconv.AppendUint(append(b[:0], in.prefix...), in.last, 36)), nil
}

// open subscribes where that has not been done. mu is held.
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
	sub.SetClosedHandler(func(string) { in.hungUp() })
	in.sub, in.prefix, in.waiting = sub, prefix, map[uint64]wait{}
	return nil
}

// forget takes a receiver out. It reports false where the answer was, or is
// just being, handed over.
func (in *inbox) forget(number uint64) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	_, was := in.waiting[number]
	delete(in.waiting, number)
	in.pace = pace{}
	return was
}

// arrived is called with every answer, one at a time.
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
	cost, known := in.pace.answered(len(in.waiting))
	in.mu.Unlock()
	w.to.answered(m, nil)
	if known {
		in.paced(cost)
	}
}

// wakeAt lets the timer run for whoever waits until then. mu is held.
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

// expire tells those whose time is over. It runs once per timeout and goes
// through all who wait: dearer than a queue by deadline, but appending then
// costs nothing for it.
func (in *inbox) expire() {
	now := time.Now()
	var late []receiver
	in.mu.Lock()
	in.due, in.pace = time.Time{}, pace{}
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
		to.answered(nil, errNoAnswer)
	}
}

// hungUp is called when the subscription has ended: no answer will come.
func (in *inbox) hungUp() {
	in.mu.Lock()
	left := in.waiting
	in.waiting, in.sub, in.pace = map[uint64]wait{}, nil, pace{}
	in.mu.Unlock()
	for _, w := range left {
		w.to.answered(nil, errHungUp)
	}
}

// close ends the subscription. Whoever waits hears errHungUp.
func (in *inbox) close() error {
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
