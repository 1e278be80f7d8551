package service

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/metrics"
	"github.com/capture-worker/capture-worker/internal/ratelog"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/notify"
	"github.com/capture-worker/capture-worker/worker"
)

// gauge adds the gauges of the workers to m.
func gauge(m *metrics.Metrics, pool worker.Pool) {
	limiter := pool.Limiter
	m.Gauge("capture_jobs_in_hand", "Jobs in flight, those that wait for their next try included.", func() float64 { return float64(pool.InFlight()) })
	m.Gauge("capture_jobs_waiting_inside", "Jobs in flight that wait for their next try.", func() float64 { return float64(pool.Delayed()) })
	m.Gauge("capture_gateway_calls_in_flight", "Gateway calls in flight.", func() float64 { return float64(limiter.Calls()) })
	m.Gauge("capture_gateway_turns_waiting", "Jobs that wait for the rate limit or a turn at the gateway.",
		func() float64 { return float64(limiter.Waiting()) })
	m.Halt(limiter.KeyRefused)
	m.Gauge("capture_gateway_down", "1 while the gateway gives no useful answers and no jobs are taken.",
		func() float64 { return one(limiter.Down()) })
}

// gaugeIntake adds the gauges of the conditions that pause or slow down the intake
// until an operator acts.
func gaugeIntake(m *metrics.Metrics, limiter *worker.GatewayLimiter, behind *controls.LedgerGuard) {
	m.Gauge("capture_intake_paused", "1 while no jobs are taken because the gateway refuses different trades with one code, which indicates a fault of ours; /readyz and the log have the code.",
		func() float64 { return one(limiter.IntakePaused()) })
	m.Gauge("capture_ledger_behind", "1 while the ledger is known to have lost events, so that first calls ask Order Query before; see `capture-worker resume --ledger`.",
		func() float64 { return one(behind.Behind()) })
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// countNotices adds the counters of notifications. Without a listener they stay
// at zero.
func countNotices(m *metrics.Metrics, s *notify.Stats) {
	m.Counters("capture_notifications_total", "Notifications of the gateway, by result; denied and crowded also count connections without a request.", "result", map[string]*atomic.Int64{
		"kept": &s.Kept, "duplicate": &s.Duplicates, "redundant": &s.Redundant, "capped": &s.Capped, "not_ours": &s.NotOurs,
		"denied": &s.Denied, "forged": &s.Forged, "malformed": &s.Malformed, "too_large": &s.TooLarge, "broken": &s.Broken,
		"busy": &s.Busy, "trouble": &s.Trouble, "crowded": &s.Crowded,
	})
	m.Counters("capture_notified_trades_total", "Trades queried because of a notification, by result.", "result",
		map[string]*atomic.Int64{"asked": &s.Resolved, "settled": &s.Changed, "deferred": &s.Deferred, "dropped": &s.Dropped})
}

// backlogGauges count the dead letters and parked trades that wait for an
// operator.
type backlogGauges struct {
	letters deadletter.Store
	parked  *ledger.ParkedTrades
	log     *slog.Logger
	unread  *ratelog.Limiter // of events that cannot be read

	lettersWait, parkedWait atomic.Int64
}

func newBacklogGauges(letters deadletter.Store, parked *ledger.ParkedTrades, log *slog.Logger) *backlogGauges {
	return &backlogGauges{letters: letters, parked: parked, log: log, unread: ratelog.New(unreadEvery)}
}

// maxParkedRead limits the parked trades that are read in one poll.
const maxParkedRead = 100

// register adds the gauges to m.
func (b *backlogGauges) register(m *metrics.Metrics) {
	m.Gauge("capture_dead_letters_waiting", "Dead letters that are neither published again nor dismissed, for all workers.",
		func() float64 { return float64(b.lettersWait.Load()) })
	m.Gauge("capture_parked_trades", "Trades that are parked and not dismissed, for all workers.",
		func() float64 { return float64(b.parkedWait.Load()) })
}

// poll counts until ctx ends. If the broker does not answer, the last number
// stays.
func (b *backlogGauges) poll(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if n, err := b.letters.Pending(ctx); err == nil {
			b.lettersWait.Store(int64(n))
		}
		_, err := b.parked.Look(ctx, maxParkedRead)
		if err == nil || errors.Is(err, capture.ErrEvent) {
			b.parkedWait.Store(int64(b.parked.Count()))
		}
		b.logUnread(ctx, err)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// unreadEvery is the least interval between two warnings about unreadable trades.
const unreadEvery = time.Hour

func (b *backlogGauges) logUnread(ctx context.Context, err error) {
	if !errors.Is(err, capture.ErrEvent) {
		return
	}
	if _, worth := b.unread.Allow(""); worth {
		b.log.WarnContext(ctx, "unreadable trade in the ledger, counted as parked", "error", err)
	}
}

// pollEvery is the interval between two requests for the sizes of the backlogs.
const pollEvery = 10 * time.Second

// backlog updates the gauges of a lane's consumer until ctx ends.
func backlog(ctx context.Context, m *metrics.Metrics, lane string, consumer jetstream.Consumer) {
	m.Backlog(lane, metrics.Backlog{})
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if info, err := consumer.Info(ctx); err == nil {
			m.Backlog(lane, metrics.Backlog{
				Ready: float64(info.NumPending), Delivered: float64(info.NumAckPending),
				Redelivered: float64(info.NumRedelivered), Paused: info.Paused,
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
