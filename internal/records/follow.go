package records

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/ratelog"
)

const (
	// eventBatch is the number of events in one transaction.
	eventBatch = 1000
	// letterBatchSize is small: a dead letter may be as large as a message.
	letterBatchSize = 16
	firstPause      = 100 * time.Millisecond
	maxPause        = 10 * time.Second
	logEvery        = time.Minute
)

// Config of a Follower.
type Config struct {
	JS       jetstream.JetStream
	Store    *Store
	Ledger   string           // stream of the ledger
	DLQ      string           // stream of the dead letters
	Acts     string           // stream of operators' acts; "" is acts.Stream
	Consumer string           // name of the durable consumers, one of each stream
	Decoder  *capture.Decoder // finds trade and order of a dead letter
	Log      *slog.Logger     // nil: nothing is logged
	// Filled ends Run when all messages are applied that were in the streams when
	// it began.
	Filled bool
}

// Follower fills the database from the streams.
type Follower struct {
	c        Config
	owner    string
	progress map[Source]*progress // never changed
}

// progress is the position in one source, for metrics.
type progress struct {
	applied, pending, first, until atomic.Uint64
	lag                            atomic.Pointer[Lag]
}

// Progress is the position in a source.
type Progress struct {
	First, Applied uint64 // the sequence at the start, and the current one
	Pending        uint64 // messages not applied yet, as of the last batch
	Until          uint64 // with Config.Filled: the last sequence to apply
}

// lagEvery is the interval at which the streams' last sequences are requested.
const lagEvery = 10 * time.Second

// NewFollower returns a follower, which starts with Run.
func NewFollower(c Config) *Follower {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Acts = cmp.Or(c.Acts, acts.Stream)
	f := &Follower{c: c, owner: rand.Text(), progress: map[Source]*progress{}}
	for _, source := range Sources() {
		f.progress[source] = &progress{}
	}
	return f
}

// Progress returns the position of this follower in a source.
func (f *Follower) Progress(source Source) Progress {
	p := f.progress[source]
	return Progress{First: p.first.Load(), Applied: p.applied.Load(), Pending: p.pending.Load(), Until: p.until.Load()}
}

// Lag returns how far the database was behind a source at the last check, a few
// seconds ago; ok is false before the first check.
func (f *Follower) Lag(source Source) (lag Lag, ok bool) {
	if l := f.progress[source].lag.Load(); l != nil {
		return *l, true
	}
	return Lag{}, false
}

// Run fills the database until ctx ends, which is not an error. It retries while a
// server or the database is unavailable. It ends with an error that wraps
// ErrRebuild if a stream is not the one in the database, and ErrSuperseded or
// ErrFollowed if another process fills it too.
func (f *Follower) Run(ctx context.Context) error { return f.until(ctx, false) }

// Rebuild empties the database first, and is otherwise like Run.
func (f *Follower) Rebuild(ctx context.Context) error {
	err := f.until(ctx, true)
	if err != nil || !f.c.Filled || ctx.Err() != nil {
		return err
	}
	return f.c.Store.analyze(ctx)
}

// until returns nil for an error that the end of ctx has caused.
func (f *Follower) until(ctx context.Context, empty bool) error {
	err := f.run(ctx, empty)
	if ctx.Err() != nil && !final(err) {
		return nil
	}
	return err
}

// final reports whether another try cannot succeed.
func final(err error) bool {
	return errors.Is(err, ErrRebuild) || errors.Is(err, ErrSuperseded) || errors.Is(err, ErrFollowed)
}

func (f *Follower) run(ctx context.Context, empty bool) error {
	feeds := f.feeds()
	for _, feed := range feeds {
		if err := f.prepare(ctx, feed); err != nil {
			return err
		}
	}
	w, err := f.c.Store.Writer(ctx)
	if err == nil && empty {
		err = w.Reset(ctx)
	}
	if err != nil {
		return err
	}
	group, both := errgroup.WithContext(ctx)
	for _, feed := range feeds {
		if feed.absent {
			continue
		}
		feed.w = w
		group.Go(func() error { return f.keep(both, feed) })
		if !f.c.Filled {
			group.Go(func() error { return f.watchLag(both, feed) })
		}
	}
	return group.Wait()
}

// feeds are those of all sources, the ledger's first.
func (f *Follower) feeds() []*feed {
	var feeds []*feed
	for _, source := range Sources() {
		next := &feed{
			js: f.c.JS, consumer: f.c.Consumer, owner: f.owner, source: source, store: f.c.Store, progress: f.progress[source], batch: letterBatchSize,
		}
		switch source {
		case SourceLedger:
			next.stream, next.batch, next.apply = f.c.Ledger, eventBatch, (*Writer).ApplyLedger
		case SourceDeadLetters:
			next.stream, next.apply = f.c.DLQ, func(w *Writer, ctx context.Context, letters []Message) error {
				return w.ApplyLetters(ctx, letters, f.c.Decoder)
			}
		case SourceActs:
			next.stream, next.apply = f.c.Acts, func(w *Writer, ctx context.Context, acts []Message) error {
				return w.ApplyActs(ctx, acts, f.c.Ledger)
			}
		}
		feeds = append(feeds, next)
	}
	return feeds
}

// prepare checks that no other process fills the database before it takes over, and
// sets the end of a feed with Config.Filled.
func (f *Follower) prepare(ctx context.Context, feed *feed) error {
	stream, err := bounded(ctx, func(ctx context.Context) (jetstream.Stream, error) { return f.c.JS.Stream(ctx, feed.stream) })
	if errors.Is(err, jetstream.ErrStreamNotFound) && (!f.c.Filled || feed.source != SourceLedger) {
		feed.absent = f.c.Filled // otherwise the stream may be created later
		return nil
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", feed.stream, err)
	}
	feed.ends, feed.until = f.c.Filled, stream.CachedInfo().State.LastSeq
	if f.c.Filled {
		feed.progress.until.Store(feed.until)
	}
	return feed.claim(ctx, stream)
}

func (p *progress) note(at Place, pending uint64) {
	p.first.CompareAndSwap(0, at.First)
	p.applied.Store(at.Applied)
	p.pending.Store(pending)
}

// keep runs sessions of a feed until ctx ends or another session cannot succeed.
func (f *Follower) keep(ctx context.Context, feed *feed) error {
	trouble := ratelog.New(logEvery)
	for try := 0; ; try++ {
		began := time.Now()
		err := feed.session(ctx)
		switch {
		case errors.Is(err, errFilled):
			return nil
		case final(err):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case f.c.JS.Conn().IsClosed():
			return fmt.Errorf("following stream %s: %w", feed.stream, err)
		}
		if time.Since(began) > maxPause {
			try = 0
		}
		if suppressed, allowed := trouble.Allow(err.Error()); allowed {
			f.c.Log.WarnContext(ctx, "records interrupted, will be retried", "stream", feed.stream, "error", err, "suppressed", suppressed)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(firstPause<<min(try, 10), maxPause)):
		}
	}
}

// watchLag measures the lag of the database. It also detects a stream that was
// replaced by an older backup meanwhile. While the server or the database does not
// answer, the model falls behind by the time since it did.
func (f *Follower) watchLag(ctx context.Context, feed *feed) error {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	var known Lag
	looked := time.Now()
	for {
		lag, err := f.c.Store.Lag(ctx, f.c.JS, feed.source, feed.stream)
		switch {
		case errors.Is(err, ErrRebuild):
			return err
		case err == nil:
			known, looked = lag, time.Now()
			feed.progress.lag.Store(&lag)
		case feed.progress.lag.Load() != nil: // the feed has logged why
			lag = known
			lag.Behind += time.Since(looked)
			feed.progress.lag.Store(&lag)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// subjectOf returns the trade and the event of a subject captures.<trade>.<event>,
// "" for other subjects.
func subjectOf(subject string) (trade string, event capture.EventType) {
	parts := strings.Split(subject, ".")
	if len(parts) != 3 || parts[0] != "captures" || !capture.ValidTradeID(parts[1]) {
		return "", ""
	}
	return parts[1], capture.EventType(parts[2])
}

// messagesOf are messages as they were delivered.
func messagesOf(msgs []jetstream.Msg) ([]Message, error) {
	list := make([]Message, 0, len(msgs))
	for _, m := range msgs {
		meta, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		list = append(list, Message{
			Seq: meta.Sequence.Stream, Stored: meta.Timestamp, Subject: m.Subject(), Header: m.Headers(), Body: m.Data(),
		})
	}
	return list, nil
}
