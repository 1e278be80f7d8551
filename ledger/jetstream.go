package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Options of a JetStream ledger. The zero value of a field is its default.
type Options struct {
	Stream string // DefaultStream
	Source string // ce-source of the events; "capture-worker"
	// Timeout bounds one request to the server; 5s.
	Timeout time.Duration
	// Bound is for one method call with all its tries; four times Timeout. It
	// should outlast the election of a new leader on a replicated stream.
	Bound time.Duration
}

// JetStream is the Ledger on a NATS JetStream stream, of any number of
// replicas; see EnsureStream. It needs nats-server 2.11 or newer.
//
// Load and Trades read from whichever replica answers, which may lag. That is
// safe: an append states the sequence it follows, so whoever decided on a stale
// view gets ErrConflict. Append, Last and LoadLatest go by the stream's leader.
//
// Where the server syncs every message and the stream allows atomic batches,
// appends that wait at the same time are stored together; each keeps its guard
// and its verdict. The ledger finds out by itself.
//
// Appends share one subscription, made with the first of them. It ends with the
// connection; Close ends it before.
type JetStream struct {
	js        jetstream.JetStream
	o         Options
	inbox     *inbox
	commits   *committer
	envelopes envelopes
}

var _ Ledger = (*JetStream)(nil)

// NewJetStream returns the ledger on a stream that exists. It asks the server
// nothing.
func NewJetStream(js jetstream.JetStream, o Options) *JetStream {
	if o.Stream == "" {
		o.Stream = DefaultStream
	}
	if o.Source == "" {
		o.Source = "capture-worker"
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Bound <= 0 {
		o.Bound = 4 * o.Timeout
	}
	in := &inbox{nc: js.Conn(), timeout: min(o.Timeout, o.Bound)}
	l := &JetStream{
		js: prefixed(js), o: o, inbox: in,
		envelopes: envelopes{stream: o.Stream, source: o.Source},
	}
	l.commits = &committer{inbox: in, stream: o.Stream, info: l.api("STREAM.INFO." + o.Stream)}
	in.paced = l.commits.paced
	return l
}

// Close ends what the ledger holds at the connection, where that lives longer
// than the ledger. Appends under way may end with ErrUncertain, later ones fail;
// reading goes on. The connection is the caller's.
func (l *JetStream) Close() error { return l.inbox.close() }

// prefixed spells a JetStream domain as the API prefix it stands for: the batch
// reads of orbit.go leave out a part of the subject where a domain is set.
func prefixed(js jetstream.JetStream) jetstream.JetStream {
	domain := js.Options().Domain
	if domain == "" {
		return js
	}
	same, err := jetstream.NewWithAPIPrefix(js.Conn(), "$JS."+domain+".API")
	if err != nil {
		return js
	}
	return same
}

const (
	firstPause = 20 * time.Millisecond
	maxPause   = time.Second
)

// pause waits between two tries, longer from try to try, and reports whether
// there is time for one more: at least as much as the pause took. A try that is
// begun too late to be answered would only make a clear case unclear.
func pause(ctx context.Context, try int) bool {
	d := min(firstPause<<min(try, 10), maxPause)
	d = d/2 + rand.N(d) // writers that failed together must not return together
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < 2*d {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// retry calls read until it succeeds, fails for good or the bound is over.
func (l *JetStream) retry(ctx context.Context, read func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, l.o.Bound)
	defer cancel()
	for try := 0; ; try++ {
		err := l.once(bounded, read)
		if err == nil || !passing(err) || l.js.Conn().IsClosed() {
			return err
		}
		if !pause(bounded, try) {
			if ctx.Err() != nil {
				return fmt.Errorf("%w: %w", ctx.Err(), err)
			}
			return fmt.Errorf("gave up after %s: %w", l.o.Bound, err)
		}
	}
}

func (l *JetStream) once(ctx context.Context, read func(context.Context) error) error {
	try, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	return read(try)
}
