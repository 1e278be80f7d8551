package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/preflight"
	"github.com/capture-worker/capture-worker/ledger"
)

const (
	// recheckEvery is the interval between two checks of the streams.
	recheckEvery = 10 * time.Second
	// recheckTries checks in a row have to fail before the worker ends: a server
	// that has just become the leader may not know every stream yet.
	recheckTries = 2
)

// watchStreams checks the streams until ctx ends. It logs new problems, and calls
// end if the worker would not start on these streams.
func watchStreams(ctx context.Context, check func(context.Context) ([]finding.Finding, error), end func(error), log *slog.Logger) {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	var known map[string]bool // nil until the first check: its warnings were logged at the start
	for tries := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		problems, err := check(ctx)
		if err != nil {
			tries = 0
			continue // NATS is unreachable or busy, which is logged elsewhere
		}
		fatal := logNew(ctx, problems, known, log)
		known = texts(problems)
		if tries++; len(fatal) == 0 {
			tries = 0
		}
		if tries == recheckTries {
			end(fmt.Errorf("%w: %s", ErrStreamsChanged, strings.Join(fatal, "; ")))
			return
		}
	}
}

// logNew logs the problems that are not known yet, and returns the fatal ones.
func logNew(ctx context.Context, problems []finding.Finding, known map[string]bool, log *slog.Logger) (fatal []string) {
	for _, p := range problems {
		level := slog.LevelWarn
		if p.Severity == finding.Error {
			fatal = append(fatal, p.String())
			level = slog.LevelError
		}
		if (known != nil || p.Severity == finding.Error) && !known[p.String()] {
			log.Log(ctx, level, "JetStream configuration changed", "problem", p.String())
		}
	}
	return fatal
}

func texts(problems []finding.Finding) map[string]bool {
	all := make(map[string]bool, len(problems))
	for _, p := range problems {
		all[p.String()] = true
	}
	return all
}

// recheckStreams returns the problems of the streams and consumers of a running
// worker.
func recheckStreams(ctx context.Context, c config.Config, js jetstream.JetStream) ([]finding.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, recheckEvery)
	defer cancel()
	var problems []finding.Finding
	gone := func(s finding.Severity, what, fix string) {
		problems = append(problems, finding.Finding{Severity: s, What: what + " is gone", Fix: fix})
	}
	const recreated = "the worker creates it when it starts"
	_, findings, err := ledger.InspectStream(ctx, js, ledgerStream(c))
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		gone(finding.Error, "the ledger's stream "+c.Ledger.Stream, "restore it before a worker starts again, see docs/operations.md, Backup and restore")
	case err != nil:
		return nil, err
	}
	problems = append(problems, findings...)
	_, findings, err = ledger.InspectCases(ctx, js, ledgerStream(c))
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		gone(finding.Warning, "stream "+c.Ledger.Cases, recreated)
	case err != nil:
		return nil, err
	}
	problems = append(problems, findings...)
	streams := Streams(c)
	found, err := jobstream.Inspect(ctx, js, streams, Limits(c))
	if err != nil {
		return nil, err
	}
	for i, wanted := range jobstream.Streams(streams) {
		if found.Streams[i] == nil {
			gone(severity(wanted.Vital), "stream "+wanted.Config.Name, recreated)
		}
	}
	for i, wanted := range streams.Consumers {
		if found.Streams[0] != nil && found.Consumers[i] == nil {
			gone(finding.Error, "consumer "+wanted.Name, recreated)
		}
	}
	if w := streams.Withdrawals; found.Withdrawals == nil && found.HasStream(w.Stream) {
		gone(finding.Error, "consumer "+w.Consumer, recreated)
	}
	return append(problems, found.Findings...), nil
}

// ledgerLost returns an error if jobs were delivered but the ledger's stream is
// missing: with an empty ledger in its place each of their trades would count as
// new. Deliveries count, because acks do not: as long as one old job waits, the
// consumer does not show that newer ones are acked.
func ledgerLost(ctx context.Context, c config.Config, js jetstream.JetStream) error {
	_, err := js.Stream(ctx, c.Ledger.Stream)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	jobs, err := js.Stream(ctx, c.Jobs.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	// Including consumers of lanes that are no longer configured.
	all := jobs.ListConsumers(ctx)
	for consumer := range all.Info() {
		begun, ours := consumer.Delivered.Consumer, consumer.Name == c.Jobs.Consumer || strings.HasPrefix(consumer.Name, c.Jobs.Consumer+"-")
		if ours && begun > 0 {
			if err := preflight.StreamsOf(c)[0].CheckOwner(ctx, js); err != nil {
				return err // the stream exists under another name
			}
			return fmt.Errorf("the ledger's stream %s is missing, but consumer %s has delivered jobs (%d times): the outcomes of these jobs are unknown, and a second job for such a trade would be processed like a first one; "+
				"restore the stream (see docs/operations.md, Backup and restore), or remove the consumer if the old trades do not matter: `nats consumer rm %s %s`",
				c.Ledger.Stream, consumer.Name, begun, c.Jobs.Stream, consumer.Name)
		}
	}
	return all.Err()
}

// severity returns the severity of a missing stream.
func severity(vital bool) finding.Severity {
	if vital {
		return finding.Error
	}
	return finding.Warning
}
