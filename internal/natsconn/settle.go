package natsconn

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// settleBound is longer than a cluster takes to elect a leader.
	settleBound = 30 * time.Second
	// settlePause keeps requests that are refused at once from becoming many.
	settlePause = 500 * time.Millisecond
)

// Codes of JetStream's API: no leader is known, or not yet, or it misses
// servers that would hold replicas.
const (
	clusterNoPeers      jetstream.ErrorCode = 10005
	clusterNotAvailable jetstream.ErrorCode = 10008
	clusterNotLeader    jetstream.ErrorCode = 10009
)

// Settle repeats what asks JetStream for something, until it is answered. While
// the servers of a cluster start, or choose a leader, requests are refused for
// now or reach nobody who answers; a program that starts at such a moment
// waits. What asks must be safe to repeat, for an answer may be lost after the
// deed. Any other error ends it at once, and half a minute does: with the last
// error. log tells of the wait, once for each reason.
func Settle(ctx context.Context, log *slog.Logger, ask func(context.Context) error) error {
	told := ""
	for deadline := time.Now().Add(settleBound); ; {
		err := ask(ctx)
		if err == nil || ctx.Err() != nil || !notYet(err) || time.Now().After(deadline) {
			return err
		}
		if err.Error() != told {
			told = err.Error()
			log.WarnContext(ctx, "JetStream is not ready yet, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(settlePause):
		}
	}
}

func notYet(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) {
		return true
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && slices.Contains([]jetstream.ErrorCode{clusterNoPeers, clusterNotAvailable, clusterNotLeader}, api.ErrorCode)
}
