package main

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/capture-worker/capture-worker/bench/peers/contest"
)

const captureName = "Capture"

// captureWorkflow runs one activity. The activity may run eagerly: in the
// worker that scheduled it, without a round through the task queue.
func captureWorkflow(ctx workflow.Context, j contest.Job) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: attemptTimeout})
	return workflow.ExecuteActivity(ctx, captureName, j).Get(ctx, nil)
}

func work(ctx context.Context, c client.Client, o contest.Options, kind string, s *contest.Summary) error {
	gateway := contest.NewClient(o)
	defer gateway.Close()
	w := worker.New(c, queue, options(o.Concurrency, kind))
	if kind == kindWorkflow {
		w.RegisterWorkflow(captureWorkflow)
	}
	w.RegisterActivityWithOptions(func(ctx context.Context, j contest.Job) error {
		start := time.Now()
		if err := gateway.Capture(ctx, j); err != nil {
			return err
		}
		s.Add(time.Since(start))
		return nil
	}, activity.RegisterOptions{Name: captureName})
	if err := w.Start(); err != nil {
		return fmt.Errorf("starting the worker: %w", err)
	}
	<-ctx.Done()
	w.Stop()
	return nil
}

// options are sized to the concurrency, which is of activities. Pollers are
// scaled by the SDK, as its documentation recommends.
func options(concurrency int, kind string) worker.Options {
	pollers := worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{
		InitialNumberOfPollers: min(concurrency, 20), MaximumNumberOfPollers: min(concurrency, 200),
	})
	return worker.Options{
		MaxConcurrentActivityExecutionSize:     concurrency,
		MaxConcurrentWorkflowTaskExecutionSize: max(concurrency, 2),
		ActivityTaskPollerBehavior:             pollers,
		WorkflowTaskPollerBehavior:             pollers,
		DisableWorkflowWorker:                  kind == kindActivity,
		WorkerStopTimeout:                      500 * time.Millisecond,
	}
}
