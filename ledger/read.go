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

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// getter reads one message; found is false if there is none.
type getter func(context.Context, getRequest) (msg storedMsg, found bool, err error)

// get reads with retries.
func (l *JetStream) get(ctx context.Context, from getter, req getRequest) (msg storedMsg, found bool, err error) {
	err = l.retry(ctx, func(ctx context.Context) error {
		msg, found, err = from(ctx, req)
		return err
	})
	return msg, found, err
}

// getRequest is the body of two calls of the JetStream API: STREAM.MSG.GET, to
// which only the leader of a stream replies, and DIRECT.GET, to which any replica
// does. The client library does not let its caller choose.
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
		return msg, false, fmt.Errorf("asking the leader of stream %s: the reply has neither a message nor an error", l.o.Stream)
	}
	msg = *got.Message
	if len(msg.Headers) > 0 {
		msg.header, err = nats.DecodeHeadersMsg(msg.Headers)
	}
	return msg, err == nil, wrap(err, fmt.Sprintf("decoding the headers of sequence %d of the ledger", msg.Seq))
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
	return msg, err == nil, wrap(err, "decoding the reply of a replica of stream "+l.o.Stream)
}

// api returns the subject of a JetStream API call.
func (l *JetStream) api(call string) string {
	prefix := l.js.Options().APIPrefix
	if prefix == "" {
		prefix = "$JS.API"
	}
	return strings.TrimSuffix(prefix, ".") + "." + call
}

// batch is the reply to one direct get.
type batch struct {
	msgs []*jetstream.RawStreamMsg
	more bool // the replica has more after the last one
}

// errIncomplete means that messages of a batch are missing.
var errIncomplete = errors.New("the server's reply is incomplete")

// directGet reads a batch and checks that it is complete: the library ends a
// batch without an error when the time is over, and messages may get lost.
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
			return batch{}, errIncomplete
		}
		b.msgs, last = append(b.msgs, msg), msg.Sequence
		b.more = msg.Header.Get("Nats-Num-Pending") != "0"
	}
	if len(b.msgs) == 0 {
		return batch{}, errIncomplete
	}
	return b, nil
}

// transient reports whether another try may succeed after this error of a read.
func transient(err error) bool {
	if errors.Is(err, capture.ErrEvent) || errors.Is(err, jetstreamext.ErrBatchUnsupported) ||
		errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, context.Canceled) {
		return false
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	return !ok || api.Code >= 500
}

// transientSearch is transient for a read that makes the server search its files,
// which holds up every append to the stream. The server continues with a search
// whose client gave up: one that got no reply is not repeated.
func transientSearch(err error) bool { return transient(err) && !errors.Is(err, errNoReply) }
