package service

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/sdnotify"
)

var errDisconnected = errors.New("not ready: NATS is not connected")

// startHelpers starts the goroutines beside the workers: metrics and health,
// gauges, reloading of keys, systemd notifications and the check of the streams.
// stop ends them and waits; ctx does not end them.
func (s *Service) startHelpers(ctx context.Context) (stop func(), err error) {
	c, log := s.c, s.log
	ready := func() error {
		if !s.nc.IsConnected() {
			return errDisconnected
		}
		return errors.Join(s.pool.Ready(), s.appends.ready())
	}
	alive := func() error {
		if !s.pool.Alive() {
			return errors.New("not alive: the worker loop is stuck")
		}
		return nil
	}
	s.metrics.Gauge("capture_ready", "1 while /readyz answers ok.", func() float64 { return one(ready() == nil) })
	stopAdmin, err := startAdmin(c, s.metrics.Handler(), alive, ready, log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var helpers sync.WaitGroup
	helpers.Go(func() { s.keys.watch(ctx) })
	helpers.Go(func() { s.certificates.watch(ctx) })
	for i, lane := range c.LaneList() {
		helpers.Go(func() { backlog(ctx, s.metrics, lane.Label(), s.consumers[i]) })
	}
	helpers.Go(func() { s.gauges.poll(ctx) })
	helpers.Go(func() { pollWithdrawals(ctx, s.withdrawals.Messages, &s.withdrawalsWait) })
	helpers.Go(func() { s.archive.poll(ctx) })
	helpers.Go(func() { s.passedOver.Run(ctx) })
	helpers.Go(func() { s.behind.Run(ctx, c.Worker.ProbeInterval) })
	// Other workers settle some of the trades that were begun here: check them
	// after these had the time to do so.
	helpers.Go(func() { s.metrics.Sweep(ctx, s.ledger, 2*c.Worker.Retry.Max) })
	helpers.Go(func() { runSystemd(ctx, alive, ready, log) })
	helpers.Go(func() {
		watchStreams(ctx, func(ctx context.Context) ([]finding.Finding, error) { return recheckStreams(ctx, c, s.js) }, s.fail, log)
	})
	return func() {
		cancel()
		helpers.Wait()
		stopAdmin()
	}, nil
}

// readyEvery is the interval between two checks until the worker is ready.
const readyEvery = 100 * time.Millisecond

// runSystemd sends READY once, and then watchdog messages at the interval that
// systemd asks for.
func runSystemd(ctx context.Context, alive, ready probe, log *slog.Logger) {
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for ready() != nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	notifySystemd(log, sdnotify.Ready)
	every := sdnotify.WatchdogInterval()
	if every == 0 {
		return
	}
	tick.Reset(every)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if alive() == nil {
				notifySystemd(log, sdnotify.Watchdog)
			}
		}
	}
}

func notifySystemd(log *slog.Logger, state string) {
	if err := sdnotify.Send(state); err != nil {
		log.Warn("sd_notify failed", "state", state, "error", err)
	}
}
