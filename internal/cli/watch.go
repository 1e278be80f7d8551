package cli

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/sdnotify"
)

var errDisconnected = errors.New("not ready: NATS is not connected")

// watchOver serves metrics and health, keeps the gauges and the keys fresh
// and tells systemd, beside a running worker. It calls end where the streams
// have become unfit. stop ends all of it and waits.
func watchOver(ctx context.Context, c config.Config, p *plant, nc *natsconn.Conn, end func(error), log *slog.Logger) (stop func(), err error) {
	ready := func() error {
		if !nc.IsConnected() {
			return errDisconnected
		}
		return p.crew.Ready()
	}
	alive := func() error {
		if !p.crew.Alive() {
			return errors.New("the worker's own loop does not turn")
		}
		return nil
	}
	p.metrics.Gauge("capture_ready", "1 while /readyz answers ok.", func() float64 { return one(ready() == nil) })
	stopAdmin, err := startAdmin(c, p.metrics.Handler(), alive, ready, log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var helpers sync.WaitGroup
	helpers.Go(func() { p.keys.watch(ctx) })
	for i, lane := range c.LaneList() {
		helpers.Go(func() { backlog(ctx, p.metrics, lane.Label(), p.consumers[i]) })
	}
	helpers.Go(func() { p.people.poll(ctx) })
	helpers.Go(func() { p.behind.Run(ctx, c.Worker.ProbeInterval) })
	// Others settle some of the trades that were begun here; look after they
	// had the time for it.
	helpers.Go(func() { p.metrics.Sweep(ctx, p.ledger, 2*c.Worker.Retry.Max) })
	helpers.Go(func() { tellSystemd(ctx, alive, ready, log) })
	helpers.Go(func() {
		stayFit(ctx, func(ctx context.Context) ([]jobstream.Problem, error) { return lookOver(ctx, c, p.js) }, end, log)
	})
	return func() {
		cancel()
		helpers.Wait()
		stopAdmin()
	}, nil
}

// readyEvery is how often readiness is looked at until it is there.
const readyEvery = 100 * time.Millisecond

// tellSystemd says READY once, and then that the loop turns, as often as
// systemd wants to hear it.
func tellSystemd(ctx context.Context, alive, ready probe, log *slog.Logger) {
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for ready() != nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	tell(log, sdnotify.Ready)
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
				tell(log, sdnotify.Watchdog)
			}
		}
	}
}

func tell(log *slog.Logger, state string) {
	if err := sdnotify.Send(state); err != nil {
		log.Warn("systemd was not told", "error", err)
	}
}
