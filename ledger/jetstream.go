package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/ledger/internal/appender"
)

// Options of a JetStream ledger. The zero value of each field is its default.
type Options struct {
	Stream  string        // default: DefaultStream
	Source  string        // ce-source of the events; default: capture-worker
	Timeout time.Duration // for one request to the server; default: 5s
	// Bound is for one method call with all its tries; default: four times
	// Timeout. It should be longer than the election of a new leader takes on a
	// replicated stream.
	Bound time.Duration
	// Batches is when appends that wait at the same time are stored in one atomic
	// batch; default: BatchesAuto.
	Batches Batches
	Log     *slog.Logger // logs how appends are sent, and why; nil: no log
}

// Batches is when a ledger stores appends in atomic batches.
type Batches string

const (
	// BatchesAuto uses batches if the server waits for its disk, as with a sync of
	// every message, the stream allows batches, and they are measured to cost less.
	BatchesAuto Batches = "auto"
	// BatchesOn uses batches whenever at least 16 appends wait and the stream
	// allows batches.
	BatchesOn Batches = "on"
	// BatchesOff never uses batches.
	BatchesOff Batches = "off"
)

func (b Batches) mode() appender.Mode {
	switch b {
	case BatchesOn:
		return appender.On
	case BatchesOff:
		return appender.Off
	}
	return appender.Auto
}

// JetStream is the Ledger on a NATS JetStream stream with any number of
// replicas; EnsureStream creates it. It needs nats-server 2.11 or newer. Use
// NewJetStream; the methods of the zero value return an error.
//
// Load and Trades read from any replica, which may lag behind. That is safe: an
// append states the sequence that it follows, so a decision that was made on old
// data ends in ErrConflict. Append, Last and LoadLatest ask the stream's leader.
//
// If the server syncs every message and the stream allows atomic batches,
// appends that wait at the same time are stored in one batch; each keeps its own
// guard and result. Whether batches pay is measured unless Options.Batches says
// otherwise.
//
// All appends share one subscription, which is made with the first of them and
// ends with the connection, or with Close.
type JetStream struct {
	js       jetstream.JetStream
	o        Options
	appender *appender.Appender
}

var _ Ledger = (*JetStream)(nil)

// NewJetStream returns the ledger on an existing stream. It sends nothing to the
// server.
func NewJetStream(js jetstream.JetStream, o Options) *JetStream {
	if o.Stream == "" {
		o.Stream = DefaultStream
	}
	if o.Source == "" {
		o.Source = "capture-worker"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Bound <= 0 {
		o.Bound = 4 * o.Timeout
	}
	l := &JetStream{js: withAPIPrefix(js), o: o}
	l.appender = appender.New(appender.Config{
		Conn: js.Conn(), Stream: o.Stream, Source: o.Source,
		Timeout: min(o.Timeout, o.Bound), InfoSubject: l.api("STREAM.INFO." + o.Stream),
		Mode: o.Batches.mode(), Chosen: l.logChoice,
	})
	return l
}

// logChoice logs how appends are sent from now on.
func (l *JetStream) logChoice(c appender.Choice) {
	how := "singly"
	if c.Batches {
		how = "in atomic batches"
	}
	attrs := []any{"stream", l.o.Stream, "sent", how, "reason", c.Why}
	for _, m := range []struct {
		name  string
		value time.Duration
	}{
		{"cost_single", c.Single}, {"cost_in_batch", c.Batched}, {"storing", c.Storing}, {"append_round_trip", c.Append}, {"ping_round_trip", c.Ping},
	} {
		if m.value > 0 {
			attrs = append(attrs, m.name, m.value)
		}
	}
	l.o.Log.Info("ledger appends", attrs...)
}

// Close ends the subscription of the ledger. It is needed only if the connection
// is used for longer than the ledger. Appends under way may end with
// ErrUncertain, later ones fail; reads still work. The connection is not closed.
func (l *JetStream) Close() error {
	if err := l.usable(); err != nil {
		return err
	}
	return l.appender.Close()
}

func (l *JetStream) usable() error {
	if l.js == nil {
		return errors.New("the ledger has no connection: create it with ledger.NewJetStream")
	}
	return nil
}

// withAPIPrefix replaces a JetStream domain by the API prefix that it stands
// for: the batch reads of orbit.go build a wrong subject if a domain is set.
func withAPIPrefix(js jetstream.JetStream) jetstream.JetStream {
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

// pause waits between two tries, longer each time, and reports whether there is
// time for another try: at least as much as the pause took. A try that starts
// too late for a reply would only make a certain failure uncertain.
func pause(ctx context.Context, try int) bool {
	d := min(firstPause<<min(try, 10), maxPause)
	d = d/2 + rand.N(d) // so that writers that failed together do not retry together
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

// errNoReply means that the server did not answer a try in time.
var errNoReply = errors.New("the server did not answer in time")

// retry calls read until it succeeds, fails permanently, or the bound is over.
func (l *JetStream) retry(ctx context.Context, read func(context.Context) error) error {
	return l.retryIf(ctx, transient, read)
}

// retryIf is retry for errors after which another try is permitted.
func (l *JetStream) retryIf(ctx context.Context, again func(error) bool, read func(context.Context) error) error {
	if err := l.usable(); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, l.o.Bound)
	defer cancel()
	for try := 0; ; try++ {
		err := l.once(bounded, read)
		if err == nil || !again(err) || l.js.Conn().IsClosed() {
			return err
		}
		if !pause(bounded, try) {
			if ctx.Err() != nil {
				return fmt.Errorf("%w: %w", ctx.Err(), err)
			}
			return fmt.Errorf("no result within %s: %w", l.o.Bound, err)
		}
	}
}

func (l *JetStream) once(ctx context.Context, read func(context.Context) error) error {
	try, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	err := read(try)
	if err != nil && errors.Is(try.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", errNoReply, err)
	}
	return err
}
