package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/notify"
	"github.com/capture-worker/capture-worker/reconcile"
	"github.com/capture-worker/capture-worker/worker"
)

// noticesOf is what answers notifications for a worker: it shares the worker's
// ledger, keys and gate.
func noticesOf(c config.Config, recorder *reconcile.Recorder, query reconcile.Query, gate *worker.GatewayLimiter, keys *keyring, log *slog.Logger) (notify.Config, error) {
	allow, err := config.ParseNetworks(c.Notify.Allow)
	if err != nil {
		return notify.Config{}, fmt.Errorf("notify.allow: %w", err)
	}
	var proxies []netip.Prefix
	if proxies, err = config.ParseNetworks(c.Notify.TrustedProxies); err != nil {
		return notify.Config{}, fmt.Errorf("notify.trusted_proxies: %w", err)
	}
	return notify.Config{
		Secrets: keys.secrets, Recorder: recorder, Query: query, Limiter: gate, Paused: gate.IntakePaused, MayFail: gate.MayFail, Log: log,
		Sources: notify.Sources{Allow: allow, ProxyHeader: c.Notify.ProxyHeader, TrustedProxies: proxies},
	}, nil
}

// listenForNotices opens the listener for notifications, nil where there is to
// be none.
func listenForNotices(c config.Config, log *slog.Logger) (net.Listener, error) {
	if c.Notify.Listen == "" {
		return nil, nil
	}
	l, err := listenAt("notifications (notify.listen)", c.Notify.Listen)
	if err != nil {
		return nil, err
	}
	log.Info("listening for notifications", "address", l.Addr().String(), "path", c.Notify.Path)
	if c.Gateway.NotifyURL == "" {
		log.Warn("gateway.notify_url is not set: nothing will be notified but jobs that name an allowed notify_url")
	}
	return l, nil
}

// listenAt opens a listener. Its error says what for, where and why, each once.
func listenAt(what, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err == nil {
		return l, nil
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	if bad, ok := errors.AsType[*net.AddrError](err); ok {
		err = errors.New(bad.Err)
	}
	return nil, fmt.Errorf("listening for %s at %q: %w", what, address, err)
}

// work runs the worker, what follows up notified trades, and the listener for
// notifications if there is one, until ctx ends or one of them fails; all stop
// together.
func (p *plant) work(ctx context.Context, notices net.Listener, path string) error {
	handler, err := notify.New(p.notices)
	if err != nil {
		return err
	}
	countNotices(p.metrics, handler.Stats())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		handler.Follow(ctx, p.notified)
		return nil
	})
	group.Go(func() error {
		p.crew.Run(ctx)
		return nil
	})
	group.Go(func() error {
		if notices == nil {
			<-ctx.Done()
			handler.Drain()
			return nil
		}
		return notify.Serve(ctx, notices, path, handler, notify.DefaultLimits())
	})
	return group.Wait()
}
