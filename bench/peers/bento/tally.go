package main

import (
	"context"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"github.com/capture-worker/capture-worker/bench/peers/contest"
)

// startedAt is the metadata that says when a message entered the pipeline, in
// nanoseconds of the clock.
const startedAt = "started_at"

// registerTally registers the output "tally": it drops messages, as "drop"
// does, and counts them.
func registerTally(env *service.Environment, s *contest.Summary) error {
	spec := service.NewConfigSpec().Summary("Drops messages and counts them.")
	return env.RegisterOutput("tally", spec, func(*service.ParsedConfig, *service.Resources) (service.Output, int, error) {
		return tally{s}, 1, nil
	})
}

type tally struct{ summary *contest.Summary }

func (tally) Connect(context.Context) error { return nil }
func (tally) Close(context.Context) error   { return nil }

func (t tally) Write(_ context.Context, m *service.Message) error {
	var took time.Duration
	if at, ok := m.MetaGetMut(startedAt); ok {
		if nanos, ok := at.(int64); ok {
			took = time.Since(time.Unix(0, nanos))
		}
	}
	t.summary.Add(took)
	return nil
}
