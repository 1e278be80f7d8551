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
	// readyTimeout is longer than a cluster takes to elect a leader.
	readyTimeout = 30 * time.Second
	// readyPause limits the rate of requests that are refused at once.
	readyPause = 500 * time.Millisecond
)

// Error codes of the JetStream API.
const (
	// No leader is known, or not yet, or servers for the replicas are missing.
	clusterNoPeers      jetstream.ErrorCode = 10005
	clusterNotAvailable jetstream.ErrorCode = 10008
	clusterNotLeader    jetstream.ErrorCode = 10009
	// noCluster means that several replicas were requested from a single server.
	noCluster jetstream.ErrorCode = 10074
	// subjectsOverlap means that another stream has one of the subjects.
	subjectsOverlap jetstream.ErrorCode = 10065
	// storeFailed means that the stream could not store a message.
	storeFailed jetstream.ErrorCode = 10077
)

// outOfStorage are the codes of limits of the server and the account.
var outOfStorage = []jetstream.ErrorCode{10002, 10023, 10028, 10047}

// RetryUntilReady calls request until JetStream is ready. While the servers of a
// cluster start or elect a leader, requests are refused or get no reply. request
// must be safe to repeat, since a reply may be lost after the request was carried
// out. Any other error is returned at once; after 30 seconds, the last error is.
// log reports the wait, once for each reason.
func RetryUntilReady(ctx context.Context, log *slog.Logger, request func(context.Context) error) error {
	return retryUntil(ctx, log, time.Now().Add(readyTimeout), notReady, request)
}

// retryUntil calls request until its error is none that another try may end, or
// the deadline is over.
func retryUntil(ctx context.Context, log *slog.Logger, deadline time.Time, again func(error) bool, request func(context.Context) error) error {
	for logged := ""; ; {
		err := request(ctx)
		if err == nil || ctx.Err() != nil || !again(err) || time.Now().After(deadline) {
			return err
		}
		if err.Error() != logged {
			logged = err.Error()
			log.WarnContext(ctx, "JetStream not ready, retrying", "error", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(readyPause):
		}
	}
}

func notReady(err error) bool { return noReply(err) || noLeader(err) }

func noReply(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
}

func noLeader(err error) bool {
	return hasCode(err, clusterNoPeers, clusterNotAvailable, clusterNotLeader)
}

func hasCode(err error, codes ...jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && slices.Contains(codes, api.ErrorCode)
}

// IsSubjectOverlap reports whether a stream was not created because another stream
// has one of its subjects.
func IsSubjectOverlap(err error) bool { return hasCode(err, subjectsOverlap) }

// Explain adds to an error of JetStream what it means for the operator. If a
// request got no reply and the server has reported that the user of nc lacks a
// permission, it returns that report, which wraps nats.ErrPermissionViolation and
// not err: another try would not help. Other errors, and nil, are returned as
// they are.
func Explain(nc *nats.Conn, err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("JetStream does not answer at %s: it is not enabled there or for this account, is still starting, or was stopped by the server for lack of disk space, see its log (%w)", Server(nc), err)
	case hasCode(err, outOfStorage...):
		return fmt.Errorf("the broker has no storage left for this (a limit of the server or the account); free some or raise the limit: %w", err)
	case hasCode(err, storeFailed):
		return fmt.Errorf("the broker could not store it: the stream's own limit is reached, or its disk fails: %w", err)
	case noLeader(err):
		return fmt.Errorf("JetStream has no leader, as while its servers start; if this lasts, check the servers: %w", err)
	case hasCode(err, noCluster):
		return fmt.Errorf("this server is not part of a cluster, so a stream can have only one replica: set nats.replicas to 1, or connect to a cluster: %w", err)
	case !noReply(err):
		return err
	}
	if denied := nc.LastError(); errors.Is(denied, nats.ErrPermissionViolation) {
		return fmt.Errorf("NATS denies a required permission; docs/operations.md lists them (Permissions): %w", denied)
	}
	return err
}
