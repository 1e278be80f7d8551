package service

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/metrics"
)

// archiveEvery is how often the archive is compared with the ledger.
const archiveEvery = time.Minute

// archiveGauge watches how far the archive is behind the ledger.
type archiveGauge struct {
	js      jetstream.JetStream
	control *controls.Store
	stream  string // of the ledger

	behind atomic.Uint64 // seconds, as the bits of a float
}

func (g *archiveGauge) register(m *metrics.Metrics) {
	m.Gauge("capture_archive_behind_seconds", "Age of the oldest event of the ledger that is not archived, for all workers; 0 if all are, or if there is no archive.",
		func() float64 { return math.Float64frombits(g.behind.Load()) })
}

// poll looks until ctx ends. If the broker does not answer, the last number stays.
func (g *archiveGauge) poll(ctx context.Context) {
	tick := time.NewTicker(archiveEvery)
	defer tick.Stop()
	for {
		if age, err := g.look(ctx); err == nil {
			g.behind.Store(math.Float64bits(age.Seconds()))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look returns the age of the oldest event that is not archived.
func (g *archiveGauge) look(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, pollEvery)
	defer cancel()
	mark, err := g.control.Archive(ctx)
	if err != nil || mark == nil {
		return 0, err
	}
	stream, err := g.js.Stream(ctx, g.stream)
	if err != nil {
		return 0, err
	}
	state := stream.CachedInfo().State
	if state.LastSeq <= mark.Through {
		return 0, nil
	}
	oldest := state.FirstTime
	if state.FirstSeq <= mark.Through {
		oldest = mark.Stored // the next event may have been removed
		m, err := stream.GetMsg(ctx, mark.Through+1)
		if err == nil {
			oldest = m.Time
		} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return 0, err
		}
	}
	return max(time.Since(oldest), 0), nil
}
