package service

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/notify"
	"github.com/capture-worker/capture-worker/reconcile"
	"github.com/capture-worker/capture-worker/worker"
)

// notificationConfig returns the configuration of the handler of notifications,
// which shares ledger, keys and limiter with the workers.
func notificationConfig(c config.Config, recorder *reconcile.Recorder, query reconcile.Query, limiter *worker.GatewayLimiter, keys *keyring, log *slog.Logger) (notify.Config, error) {
	allow, err := config.ParseNetworks(c.Notify.Allow)
	if err != nil {
		return notify.Config{}, fmt.Errorf("notify.allow: %w", err)
	}
	var proxies []netip.Prefix
	if proxies, err = config.ParseNetworks(c.Notify.TrustedProxies); err != nil {
		return notify.Config{}, fmt.Errorf("notify.trusted_proxies: %w", err)
	}
	return notify.Config{
		Secrets: keys.secrets, Recorder: recorder, Query: query, Limiter: limiter, Paused: limiter.IntakePaused, MayFail: limiter.MayFail, Log: log,
		Sources: notify.Sources{Allow: allow, ProxyHeader: c.Notify.ProxyHeader, TrustedProxies: proxies},
	}, nil
}

// listenForNotifications opens the listener for notifications. It returns nil if
// notify.listen is off.
func listenForNotifications(c config.Config, log *slog.Logger) (net.Listener, error) {
	if c.Notify.Listen == "" {
		return nil, nil
	}
	l, err := Listen("notifications (notify.listen)", c.Notify.Listen)
	if err != nil {
		return nil, err
	}
	log.Info("listening for notifications", "address", l.Addr().String(), "path", c.Notify.Path)
	if c.Gateway.NotifyURL == "" {
		log.Warn("gateway.notify_url is not set: the gateway sends notifications only for jobs that name an allowed notify_url")
	}
	return l, nil
}

// Listen opens a TCP listener. purpose is for the error message.
func Listen(purpose, address string) (net.Listener, error) {
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
	return nil, fmt.Errorf("listening for %s at %q: %w", purpose, address, err)
}
