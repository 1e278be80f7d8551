package natsconn

import (
	"context"
	"errors"
	"fmt"
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
	// noCluster: several replicas are asked of a server that is alone.
	noCluster jetstream.ErrorCode = 10074
	// subjectsOverlap: one of the subjects is another stream's.
	subjectsOverlap jetstream.ErrorCode = 10065
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

func notYet(err error) bool { return unanswered(err) || leaderless(err) }

func unanswered(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
}

func leaderless(err error) bool {
	return refusedWith(err, clusterNoPeers, clusterNotAvailable, clusterNotLeader)
}

func refusedWith(err error, codes ...jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && slices.Contains(codes, api.ErrorCode)
}

// Overlap tells that a stream was not made because another has one of its subjects.
func Overlap(err error) bool { return refusedWith(err, subjectsOverlap) }

// Explain puts what JetStream answered, or did not answer, into words for who
// has to act on it. That nobody is there, or leads, it wraps. Of a request
// without an answer it tells what the server said beside the answers, if it was that the user of
// nc may not ask that: it wraps nats.ErrPermissionViolation then and not err,
// for asking again does not help. Other errors, and nil, stay as they are.
func Explain(nc *nats.Conn, err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("JetStream does not answer at %s: it is not enabled there, or not for this account, or it is just starting (%w)", Server(nc), err)
	case leaderless(err):
		return fmt.Errorf("JetStream has no leader for this just now, as while its servers start; if it stays so, look at them: %w", err)
	case refusedWith(err, noCluster):
		return fmt.Errorf("this server is not one of a cluster, so that a stream has one replica there: set nats.replicas to 1, or connect to a cluster: %w", err)
	case !unanswered(err):
		return err
	}
	if refused := nc.LastError(); errors.Is(refused, nats.ErrPermissionViolation) {
		return fmt.Errorf("NATS does not permit what is needed; docs/operations.md lists it (Permissions): %w", refused)
	}
	return err
}
