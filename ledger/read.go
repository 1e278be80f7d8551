package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/capture-worker/capture-worker/capture"
)

// Load is Ledger.Load. It reads the last event from any replica and follows
// Capture-After back to the first: one short request per event, where the
// server would search its files for the events of a subject.
func (l *JetStream) Load(ctx context.Context, tradeID string) (Trade, error) {
	return l.load(ctx, tradeID, l.replicaGet)
}

// LoadLatest is Ledger.LoadLatest: Load that begins at the leader.
func (l *JetStream) LoadLatest(ctx context.Context, tradeID string) (Trade, error) {
	return l.load(ctx, tradeID, l.leaderGet)
}

// Last is Ledger.Last: one round trip to the leader.
func (l *JetStream) Last(ctx context.Context, tradeID string) (Entry, bool, error) {
	if err := CheckTradeID(tradeID); err != nil {
		return Entry{}, false, err
	}
	last, found, err := l.get(ctx, l.leaderGet, getRequest{LastFor: TradeFilter(tradeID)})
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

// getter reads one message; found is false where there is none.
type getter func(context.Context, getRequest) (msg storedMsg, found bool, err error)

// get reads with retries.
func (l *JetStream) get(ctx context.Context, from getter, req getRequest) (msg storedMsg, found bool, err error) {
	err = l.retry(ctx, func(ctx context.Context) error {
		msg, found, err = from(ctx, req)
		return err
	})
	return msg, found, err
}

// getRequest is the body of two calls of the JetStream API: STREAM.MSG.GET,
// which only the leader of a stream answers, and DIRECT.GET, which any replica
// does. The client library would choose for us.
type getRequest struct {
	Seq       uint64     `json:"seq,omitempty"`
	LastFor   string     `json:"last_by_subj,omitempty"`
	NextFor   string     `json:"next_by_subj,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
}

type storedMsg struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Headers []byte    `json:"hdrs"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`

	header nats.Header
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
	msg = *got.Message
	if len(msg.Headers) > 0 {
		msg.header, err = nats.DecodeHeadersMsg(msg.Headers)
	}
	return msg, err == nil, wrap(err, fmt.Sprintf("reading the headers of sequence %d of the ledger", msg.Seq))
}

func (l *JetStream) replicaGet(ctx context.Context, req getRequest) (msg storedMsg, found bool, err error) {
	body, err := json.Marshal(req)
	if err != nil {
		return msg, false, err
	}
	answer, err := l.js.Conn().RequestWithContext(ctx, l.api("DIRECT.GET."+l.o.Stream), body)
	if err != nil {
		return msg, false, fmt.Errorf("asking a replica of stream %s: %w", l.o.Stream, err)
	}
	if status := answer.Header.Get("Status"); status == "404" {
		return msg, false, nil
	} else if status != "" {
		return msg, false, fmt.Errorf("asking a replica of stream %s: %s %s", l.o.Stream, status, answer.Header.Get("Description"))
	}
	msg = storedMsg{Subject: answer.Header.Get(jetstream.SubjectHeader), Data: answer.Data, header: answer.Header}
	if msg.Seq, err = strconv.ParseUint(answer.Header.Get(jetstream.SequenceHeader), 10, 64); err == nil {
		msg.Time, err = time.Parse(time.RFC3339Nano, answer.Header.Get(jetstream.TimeStampHeaer))
	}
	return msg, err == nil, wrap(err, "reading the answer of a replica of stream "+l.o.Stream)
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
