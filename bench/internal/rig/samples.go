package rig

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ackMetrics is where the server reports the acks that it samples.
const ackMetrics = "$JS.EVENT.METRIC.CONSUMER.ACK.>"

// Samples gathers what the server reports of acks. They are decoded only when
// asked for: while a contestant runs, the machine is its.
type Samples struct {
	sub *nats.Subscription
	mu  sync.Mutex
	raw [][]byte
}

// Sample begins to listen.
func (b *Broker) Sample() (*Samples, error) {
	s := &Samples{}
	sub, err := b.NC.Subscribe(ackMetrics, func(m *nats.Msg) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.raw = append(s.raw, m.Data)
	})
	if err != nil {
		return nil, fmt.Errorf("listening for sampled acks: %w", err)
	}
	s.sub = sub
	return s, sub.SetPendingLimits(-1, -1)
}

// Close ends the listening where Latencies has not.
func (s *Samples) Close() { _ = s.sub.Unsubscribe() }

// Latencies ends the listening and returns, sorted, how long the sampled jobs
// took from delivery to ack; only of those at positions from to below to of
// the stream.
func (s *Samples) Latencies(from, to uint64) ([]time.Duration, error) {
	// Drain would wait for the server; what was published before is here.
	if err := s.sub.Unsubscribe(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return DecodeSamples(s.raw, from, to)
}

// DecodeSamples reads the latencies out of consumer_ack metrics. A job that was
// delivered more than once counts from its last delivery.
func DecodeSamples(raw [][]byte, from, to uint64) ([]time.Duration, error) {
	var all []time.Duration
	for _, text := range raw {
		var m struct {
			StreamSeq uint64        `json:"stream_seq"`
			AckTime   time.Duration `json:"ack_time"` // nanoseconds
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return nil, fmt.Errorf("reading a sampled ack: %w", err)
		}
		if m.StreamSeq == 0 {
			return nil, fmt.Errorf("reading a sampled ack: no stream_seq in %.200s", text)
		}
		if m.StreamSeq >= from && m.StreamSeq < to {
			all = append(all, m.AckTime)
		}
	}
	slices.Sort(all)
	return all, nil
}
