package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ack is the server's word that something is stored.
type ack struct {
	seq   uint64
	batch string // of an atomic batch: its id
	count int    // and how many messages it had
}

// readAck reads the answer to a publish. Errors: jetstream.ErrNoStreamResponse,
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

// plainAck reads {"stream":"NAME","seq":123} as the server spells it, and
// nothing else.
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
