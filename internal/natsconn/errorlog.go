package natsconn

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/internal/ratelog"
)

const (
	// resubscribeAfter is the pause before a reconnect that restores subscriptions.
	resubscribeAfter = 5 * time.Second
	// errorInterval is how often errors of one kind are logged.
	errorInterval = 10 * time.Second
)

// errorLog handles the asynchronous errors of a connection.
type errorLog struct {
	log          *slog.Logger
	limit        *ratelog.Limiter
	reconnecting atomic.Bool
}

func (l *errorLog) handle(nc *nats.Conn, sub *nats.Subscription, err error) {
	l.write(sub, err)
	// The server has dropped a subscription and does not restore it when the
	// permission is granted again. It checks permissions for each new connection,
	// so the subscription works again after a reconnect.
	if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), "Subscription") && l.reconnecting.CompareAndSwap(false, true) {
		time.AfterFunc(resubscribeAfter, func() {
			l.reconnecting.Store(false)
			_ = nc.ForceReconnect() // fails only on a closed connection
		})
	}
}

func (l *errorLog) write(sub *nats.Subscription, err error) {
	kind, _, _ := strings.Cut(err.Error(), `"`) // one of many subjects follows
	suppressed, ok := l.limit.Allow(kind)
	if !ok {
		return
	}
	args := []any{"error", err}
	if sub != nil {
		args = append(args, "subject", sub.Subject)
	}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	l.log.Error("NATS reported an error", args...)
}
