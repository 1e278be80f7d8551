package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/checkup"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/ledger"
)

const (
	// fitEvery is how often a running worker looks at its streams again.
	fitEvery = 10 * time.Second
	// fitTries looks in a row have to find what ends a worker: a server that
	// has just begun to lead may not know every stream yet.
	fitTries = 2
)

// unfitError says that the streams have become such that a worker would not
// start on them.
type unfitError struct{ problems []string }

func (e *unfitError) Error() string {
	return "JetStream was changed under the worker, which ends, for it would lose jobs or stall: " + strings.Join(e.problems, "; ")
}

// stayFit looks at the streams again and again until ctx ends. It logs what
// does not fit any more, and calls end where the worker would not have started.
func stayFit(ctx context.Context, look func(context.Context) ([]jobstream.Problem, error), end func(error), log *slog.Logger) {
	tick := time.NewTicker(fitEvery)
	defer tick.Stop()
	var told map[string]bool // nil until the first look: what it finds was logged at the start
	for tries := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		problems, err := look(ctx)
		if err != nil {
			tries = 0
			continue // NATS is away or busy, which others tell of
		}
		fatal := tellNew(ctx, problems, told, log)
		told = texts(problems)
		if tries++; len(fatal) == 0 {
			tries = 0
		}
		if tries == fitTries {
			end(&unfitError{problems: fatal})
			return
		}
	}
}

// tellNew logs problems that were not told before, and returns the fatal ones.
func tellNew(ctx context.Context, problems []jobstream.Problem, told map[string]bool, log *slog.Logger) (fatal []string) {
	for _, p := range problems {
		level := slog.LevelWarn
		if p.Fatal {
			fatal = append(fatal, p.String())
			level = slog.LevelError
		}
		if (told != nil || p.Fatal) && !told[p.String()] {
			log.Log(ctx, level, "JetStream was changed under the worker", "problem", p.String())
		}
	}
	return fatal
}

func texts(problems []jobstream.Problem) map[string]bool {
	all := make(map[string]bool, len(problems))
	for _, p := range problems {
		all[p.String()] = true
	}
	return all
}

// lookOver tells what of the streams and consumers does not fit a running
// worker, or is gone.
func lookOver(ctx context.Context, c config.Config, js jetstream.JetStream) ([]jobstream.Problem, error) {
	ctx, cancel := context.WithTimeout(ctx, fitEvery)
	defer cancel()
	var problems []jobstream.Problem
	gone := func(fatal bool, what, do string) {
		problems = append(problems, jobstream.Problem{Fatal: fatal, What: what + " is gone", Do: do})
	}
	_, findings, err := ledger.InspectStream(ctx, js, ledgerStream(c))
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		gone(true, "the ledger's stream "+c.Ledger.Stream, "restore it before a worker starts again, see docs/operations.md, Backup and restore")
	case err != nil:
		return nil, err
	}
	problems = append(problems, misfits(findings)...)
	streams := streamsOf(c)
	found, err := jobstream.Inspect(ctx, js, streams, limitsOf(c))
	if err != nil {
		return nil, err
	}
	const anew = "the worker makes it when it starts"
	if found.Jobs == nil {
		gone(true, "stream "+streams.Jobs, anew)
	}
	for i, wanted := range streams.Consumers {
		if found.Jobs != nil && found.Consumers[i] == nil {
			gone(true, "consumer "+wanted.Name, anew)
		}
	}
	if found.DLQ == nil {
		gone(false, "stream "+streams.DLQ, anew)
	}
	return append(problems, found.Problems...), nil
}

// ledgerLost is an error where jobs were begun, but the ledger that tells how
// they went is missing: an empty one in its place would take each of their
// trades for new. What was delivered counts, not what is done: as long as one
// old job waits, the consumer does not say that younger ones are.
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
	// Those of lanes that are not configured any more too.
	all := jobs.ListConsumers(ctx)
	for consumer := range all.Info() {
		begun, ours := consumer.Delivered.Consumer, consumer.Name == c.Jobs.Consumer || strings.HasPrefix(consumer.Name, c.Jobs.Consumer+"-")
		if ours && begun > 0 {
			if err := ownedBy(ctx, checkup.StreamsOf(c)[0], js); err != nil {
				return err // not lost: its name is mistyped
			}
			return fmt.Errorf("the ledger's stream %s is missing, but consumer %s has delivered jobs (%d times): without it nobody knows what became of them, and a second job for such a trade would be taken for the first; "+
				"restore the stream, see docs/operations.md, Backup and restore, or, where the old trades do not matter, begin anew with `nats consumer rm %s %s`",
				c.Ledger.Stream, consumer.Name, begun, c.Jobs.Stream, consumer.Name)
		}
	}
	return all.Err()
}
