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
	// resubscribeAfter is the rest before a connection that lost subscriptions
	// is made anew.
	resubscribeAfter = 5 * time.Second
	// quiet is how long an error of one kind is not logged again.
	quiet = 10 * time.Second
)

// complaints hears what a server says about a connection beside its answers.
type complaints struct {
	log      *slog.Logger
	said     *ratelog.Limiter
	renewing atomic.Bool
}

func (c *complaints) heard(nc *nats.Conn, sub *nats.Subscription, err error) {
	c.tell(sub, err)
	// The server has dropped a subscription, and would not take it up again
	// when the permission is given back: answers would stay away for ever.
	// Permissions are looked at anew with each connection.
	if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), "Subscription") && c.renewing.CompareAndSwap(false, true) {
		time.AfterFunc(resubscribeAfter, func() {
			c.renewing.Store(false)
			_ = nc.ForceReconnect() // fails only where it was closed
		})
	}
}

// tell logs an error, and how many of its kind were not logged before it.
func (c *complaints) tell(sub *nats.Subscription, err error) {
	kind, _, _ := strings.Cut(err.Error(), `"`) // what follows names one of many subjects
	suppressed, ok := c.said.Allow(kind)
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
	c.log.Error("NATS reported an error", args...)
}
