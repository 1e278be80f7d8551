package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/notify"
	"github.com/capture-worker/capture-worker/reconcile"
	"github.com/capture-worker/capture-worker/worker"
)

// noticesOf is what answers notifications for a worker: it shares the worker's
// ledger, keys and gate.
func noticesOf(c config.Config, clerk *reconcile.Clerk, query reconcile.Query, gate *worker.Gate, keys *keyring, log *slog.Logger) (notify.Config, error) {
	allow, err := config.ParseNetworks(c.Notify.Allow)
	if err != nil {
		return notify.Config{}, fmt.Errorf("notify.allow: %w", err)
	}
	var proxies []netip.Prefix
	if proxies, err = config.ParseNetworks(c.Notify.TrustedProxies); err != nil {
		return notify.Config{}, fmt.Errorf("notify.trusted_proxies: %w", err)
	}
	return notify.Config{
		Secrets: keys.secrets, Clerk: clerk, Query: query, Gate: gate, Log: log,
		Sources: notify.Sources{Allow: allow, ProxyHeader: c.Notify.ProxyHeader, TrustedProxies: proxies},
	}, nil
}

// listenForNotices opens the listener for notifications, nil where there is to
// be none.
func listenForNotices(c config.Config, log *slog.Logger) (net.Listener, error) {
	if c.Notify.Listen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", c.Notify.Listen)
	if err != nil {
		return nil, fmt.Errorf("listening for notifications at notify.listen: %w", err)
	}
	log.Info("listening for notifications", "address", l.Addr().String(), "path", c.Notify.Path)
	if c.Gateway.NotifyURL == "" {
		log.Warn("gateway.notify_url is not set: only jobs that name a notify_url will be notified")
	}
	return l, nil
}

// work runs the worker, and the listener for notifications where there is one,
// until ctx ends or one of them fails; both stop together.
func (p *plant) work(ctx context.Context, notices net.Listener, path string) error {
	if notices == nil {
		countNotices(p.metrics, &notify.Stats{})
		p.crew.Run(ctx)
		return nil
	}
	handler := notify.New(p.notices)
	countNotices(p.metrics, handler.Stats())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		p.crew.Run(ctx)
		return nil
	})
	group.Go(func() error {
		return notify.Serve(ctx, notices, path, handler, notify.DefaultLimits())
	})
	return group.Wait()
}
