package natsconn

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// tryTimeout bounds one try of a look-up. A request that reaches no leader gets no
// reply, also if one is elected meanwhile.
const tryTimeout = 5 * time.Second

// Patient returns js with look-ups that are repeated while JetStream is not ready,
// as RetryUntilReady does: for commands, which would otherwise fail because a
// leader is elected at that moment. The look-ups of a command share one bound: once
// JetStream was not ready for it, each later one is tried once. Look-ups are
// streams, consumers, buckets and what they hold; what changes something is not
// repeated.
func Patient(js jetstream.JetStream, log *slog.Logger) jetstream.JetStream {
	return &patient{JetStream: js, p: &patience{nc: js.Conn(), log: log}}
}

// patience is the bound that the look-ups share.
type patience struct {
	nc  *nats.Conn
	log *slog.Logger

	mu    sync.Mutex
	since time.Time // not ready since then; zero: it was at the last look-up
}

// deadline returns when a look-up that begins now is given up.
func (p *patience) deadline() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		return time.Now().Add(readyTimeout)
	}
	return p.since.Add(readyTimeout)
}

func (p *patience) saw(began time.Time, ready bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case ready:
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = began
	}
}

// mayBeReady reports whether another try may succeed: not if the server has
// reported that a permission is missing.
func (p *patience) mayBeReady(err error) bool {
	return notReady(err) && (p.nc == nil || !errors.Is(p.nc.LastError(), nats.ErrPermissionViolation))
}

// lookUp repeats a request until JetStream is ready or the shared bound is over.
func lookUp[T any](ctx context.Context, p *patience, request func(context.Context) (T, error)) (found T, err error) {
	began := time.Now()
	err = retryUntil(ctx, p.log, p.deadline(), p.mayBeReady, func(ctx context.Context) (err error) {
		try, cancel := context.WithTimeout(ctx, tryTimeout)
		defer cancel()
		found, err = request(try)
		return err
	})
	p.saw(began, !notReady(err))
	return found, err
}

type patient struct {
	jetstream.JetStream
	p *patience
}

func (js *patient) AccountInfo(ctx context.Context) (*jetstream.AccountInfo, error) {
	return lookUp(ctx, js.p, js.JetStream.AccountInfo)
}

func (js *patient) StreamNameBySubject(ctx context.Context, subject string) (string, error) {
	return lookUp(ctx, js.p, func(ctx context.Context) (string, error) { return js.JetStream.StreamNameBySubject(ctx, subject) })
}

func (js *patient) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s, err := lookUp(ctx, js.p, func(ctx context.Context) (jetstream.Stream, error) { return js.JetStream.Stream(ctx, name) })
	if err != nil {
		return nil, err
	}
	return &patientStream{s, js.p}, nil
}

func (js *patient) Consumer(ctx context.Context, stream, name string) (jetstream.Consumer, error) {
	return lookUp(ctx, js.p, func(ctx context.Context) (jetstream.Consumer, error) { return js.JetStream.Consumer(ctx, stream, name) })
}

func (js *patient) OrderedConsumer(ctx context.Context, stream string, cfg jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	return lookUp(ctx, js.p, func(ctx context.Context) (jetstream.Consumer, error) {
		return js.JetStream.OrderedConsumer(ctx, stream, cfg)
	})
}

func (js *patient) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	kv, err := lookUp(ctx, js.p, func(ctx context.Context) (jetstream.KeyValue, error) { return js.JetStream.KeyValue(ctx, bucket) })
	if err != nil {
		return nil, err
	}
	return &patientBucket{kv, js.p}, nil
}

type patientStream struct {
	jetstream.Stream
	p *patience
}

func (s *patientStream) Info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	return lookUp(ctx, s.p, func(ctx context.Context) (*jetstream.StreamInfo, error) { return s.Stream.Info(ctx, opts...) })
}

func (s *patientStream) Consumer(ctx context.Context, name string) (jetstream.Consumer, error) {
	return lookUp(ctx, s.p, func(ctx context.Context) (jetstream.Consumer, error) { return s.Stream.Consumer(ctx, name) })
}

func (s *patientStream) GetMsg(ctx context.Context, seq uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	return lookUp(ctx, s.p, func(ctx context.Context) (*jetstream.RawStreamMsg, error) { return s.Stream.GetMsg(ctx, seq, opts...) })
}

func (s *patientStream) GetLastMsgForSubject(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	return lookUp(ctx, s.p, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return s.Stream.GetLastMsgForSubject(ctx, subject)
	})
}

type patientBucket struct {
	jetstream.KeyValue
	p *patience
}

func (b *patientBucket) Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	return lookUp(ctx, b.p, func(ctx context.Context) (jetstream.KeyValueEntry, error) { return b.KeyValue.Get(ctx, key) })
}
