package appender

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Outcome is what the error of one try means for the event.
type Outcome int

const (
	MaybeStored Outcome = iota // stored, still on its way, or lost
	NotSent                    // no server received it; another try may succeed
	Conflict                   // the guard refused it
	Refused                    // refused; another try would be refused too
)

// Classify returns what an error of Publish or PublishSingly means.
func Classify(err error) Outcome {
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrReconnectBufExceeded) {
		return NotSent
	}
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) || errors.Is(err, nats.ErrHeadersNotSupported) || errors.Is(err, errClosed) || errors.Is(err, errNotSent) {
		return Refused
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	switch {
	case !ok:
		return MaybeStored
	case api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence,
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return Conflict
	case api.Code >= 500:
		// No leader, storing failed, out of resources: on a replicated stream
		// another replica may have stored it.
		return MaybeStored
	}
	return Refused
}

// ack is the server's confirmation that a message, or a batch, is stored.
type ack struct {
	seq   uint64
	batch string // id of an atomic batch
	count int    // of its messages
}

// readAck reads the reply to a publish. Errors: jetstream.ErrNoStreamResponse,
// jetstream.ErrInvalidJSAck, or the *jetstream.APIError of the server.
func readAck(m *nats.Msg, stream string) (ack, error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return ack{}, jetstream.ErrNoStreamResponse
	}
	if seq, ok := plainAck(m.Data, stream); ok {
		return ack{seq: seq}, nil
	}
	var got struct {
		Error  *jetstream.APIError `json:"error"`
		Stream string              `json:"stream"`
		Seq    uint64              `json:"seq"`
		Batch  string              `json:"batch"`
		Count  int                 `json:"count"`
	}
	if err := json.Unmarshal(m.Data, &got); err != nil {
		return ack{}, jetstream.ErrInvalidJSAck
	}
	if got.Error != nil {
		return ack{}, fmt.Errorf("nats: %w", got.Error)
	}
	if got.Stream == "" {
		return ack{}, jetstream.ErrInvalidJSAck
	}
	return ack{got.Seq, got.Batch, got.Count}, nil
}

// plainAck reads {"stream":"NAME","seq":123} exactly as the server writes it. Any
// other form is left to encoding/json.
func plainAck(b []byte, stream string) (seq uint64, ok bool) {
	b, ok = bytes.CutPrefix(b, []byte(`{"stream":"`))
	if !ok || len(b) < len(stream) || string(b[:len(stream)]) != stream {
		return 0, false
	}
	b, ok = bytes.CutPrefix(b[len(stream):], []byte(`","seq":`))
	if !ok || len(b) < 2 || len(b) > 20 || b[len(b)-1] != '}' {
		return 0, false
	}
	for _, c := range b[:len(b)-1] {
		if c < '0' || c > '9' {
			return 0, false
		}
		seq = seq*10 + uint64(c-'0')
	}
	return seq, true
}
