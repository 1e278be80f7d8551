package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/capture-worker/capture-worker/capture"
)

// tradePage is how many events of a trade one request asks for. The usual
// trade has two.
const tradePage = 256

// Load is Ledger.Load: one round trip to any replica.
func (l *JetStream) Load(ctx context.Context, tradeID string) (Trade, error) {
	if err := CheckTradeID(tradeID); err != nil {
		return Trade{}, err
	}
	t := Trade{ID: tradeID}
	for {
		p, err := l.page(ctx, t.Seq+1, tradePage, jetstreamext.GetBatchSubject(TradeFilter(tradeID)))
		if err != nil {
			return Trade{}, fmt.Errorf("loading trade %s: %w", tradeID, err)
		}
		for _, msg := range p.msgs {
			entry, err := decodeEntry(msg.Sequence, msg.Time, msg.Data)
			if err != nil {
				return Trade{}, fmt.Errorf("loading trade %s: %w", tradeID, err)
			}
			t.Events, t.Seq = append(t.Events, entry.Event), entry.Seq
		}
		if !p.more {
			return t, nil
		}
	}
}

// LoadLatest is Ledger.LoadLatest: it asks the leader how far the trade
// reaches, and waits for a replica that reaches as far.
func (l *JetStream) LoadLatest(ctx context.Context, tradeID string) (Trade, error) {
	if err := CheckTradeID(tradeID); err != nil {
		return Trade{}, err
	}
	var t Trade
	last, _, err := l.leaderLast(ctx, tradeID)
	if err != nil {
		return t, fmt.Errorf("loading trade %s: %w", tradeID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, l.o.Bound)
	defer cancel()
	for try := 0; ; try++ {
		if t, err = l.Load(ctx, tradeID); err != nil || t.Seq >= last.Seq {
			return t, err
		}
		if !pause(ctx, try) {
			return Trade{}, fmt.Errorf("loading trade %s: the replicas of stream %s end at sequence %d, its leader at %d: %w",
				tradeID, l.o.Stream, t.Seq, last.Seq, ctx.Err())
		}
	}
}

// Last is Ledger.Last: one round trip to the leader.
func (l *JetStream) Last(ctx context.Context, tradeID string) (Entry, bool, error) {
	if err := CheckTradeID(tradeID); err != nil {
		return Entry{}, false, err
	}
	last, found, err := l.leaderLast(ctx, tradeID)
	if err != nil || !found {
		return Entry{}, false, wrap(err, "reading the last event of trade "+tradeID)
	}
	entry, err := last.entry()
	return entry, err == nil, err
}

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func (l *JetStream) leaderLast(ctx context.Context, tradeID string) (last storedMsg, found bool, err error) {
	err = l.retry(ctx, func(ctx context.Context) error {
		last, found, err = l.leaderGet(ctx, getRequest{LastFor: TradeFilter(tradeID)})
		return err
	})
	return last, found, err
}

// getRequest is the body of the JetStream API's STREAM.MSG.GET, which only the
// leader of a stream answers. The client library would ask any replica.
type getRequest struct {
	Seq       uint64     `json:"seq,omitempty"`
	LastFor   string     `json:"last_by_subj,omitempty"`
	NextFor   string     `json:"next_by_subj,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
}

type storedMsg struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

func (m storedMsg) entry() (Entry, error) { return decodeEntry(m.Seq, m.Time, m.Data) }

func (l *JetStream) leaderGet(ctx context.Context, req getRequest) (msg storedMsg, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	body, err := json.Marshal(req)
	if err != nil {
		return msg, false, err
	}
	answer, err := l.js.Conn().RequestWithContext(ctx, l.api("STREAM.MSG.GET."+l.o.Stream), body)
	if err != nil {
		return msg, false, fmt.Errorf("asking the leader of stream %s: %w", l.o.Stream, err)
	}
	var got struct {
		Error   *jetstream.APIError `json:"error"`
		Message *storedMsg          `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &got); err != nil {
		return msg, false, fmt.Errorf("asking the leader of stream %s: %w", l.o.Stream, err)
	}
	switch {
	case got.Error != nil && got.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return msg, false, nil
	case got.Error != nil:
		return msg, false, fmt.Errorf("asking the leader of stream %s: %w", l.o.Stream, got.Error)
	case got.Message == nil:
		return msg, false, fmt.Errorf("asking the leader of stream %s: neither message nor error", l.o.Stream)
	}
	return *got.Message, true, nil
}

// api is the subject of a JetStream API call.
func (l *JetStream) api(call string) string {
	prefix := l.js.Options().APIPrefix
	if prefix == "" {
		prefix = "$JS.API"
	}
	return strings.TrimSuffix(prefix, ".") + "." + call
}

// batch is the answer to one direct get.
type batch struct {
	msgs []*jetstream.RawStreamMsg
	more bool // the replica holds more behind the last one
}

// errCut: a batch did not arrive whole.
var errCut = errors.New("the server's answer was cut short")

// page reads up to limit messages from a sequence on, from any replica.
func (l *JetStream) page(ctx context.Context, from uint64, limit int, opts ...jetstreamext.GetBatchOpt) (batch, error) {
	var b batch
	opts = append(opts, jetstreamext.GetBatchSeq(from))
	err := l.retry(ctx, func(ctx context.Context) (err error) {
		b, err = l.directGet(ctx, limit, opts)
		return err
	})
	return b, err
}

// directGet checks that the batch is whole: the library ends it silently when
// the time is over, and messages of a batch may get lost.
func (l *JetStream) directGet(ctx context.Context, limit int, opts []jetstreamext.GetBatchOpt) (batch, error) {
	msgs, err := jetstreamext.GetBatch(ctx, l.js, l.o.Stream, limit, opts...)
	if err != nil {
		return batch{}, err
	}
	var b batch
	var last uint64
	for msg, err := range msgs {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return batch{}, nil
		}
		if err != nil {
			return batch{}, err
		}
		before, err := strconv.ParseUint(msg.Header.Get("Nats-Last-Sequence"), 10, 64)
		if err != nil || before != last {
			return batch{}, errCut
		}
		b.msgs, last = append(b.msgs, msg), msg.Sequence
		b.more = msg.Header.Get("Nats-Num-Pending") != "0"
	}
	if len(b.msgs) == 0 {
		return batch{}, errCut
	}
	return b, nil
}

// passing tells errors of reading that another try may mend.
func passing(err error) bool {
	if errors.Is(err, capture.ErrEvent) || errors.Is(err, jetstreamext.ErrBatchUnsupported) ||
		errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, context.Canceled) {
		return false
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	return !ok || api.Code >= 500
}
