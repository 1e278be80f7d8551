package main

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/capture-worker/capture-worker/bench/peers/contest"
)

const (
	kindActivity = "activity"
	kindWorkflow = "workflow"
	queue        = "captures"
	// fillers is how many calls to the server start jobs at once.
	fillers = 64
)

// starter starts one job; it does not wait for it.
type starter func(ctx context.Context, c client.Client, j contest.Job) error

var starters = map[string]starter{
	kindActivity: func(ctx context.Context, c client.Client, j contest.Job) error {
		_, err := c.ExecuteActivity(ctx, client.StartActivityOptions{
			ID: j.TradeID, TaskQueue: queue, StartToCloseTimeout: attemptTimeout,
		}, captureName, j)
		return err
	},
	kindWorkflow: func(ctx context.Context, c client.Client, j contest.Job) error {
		_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: j.TradeID, TaskQueue: queue}, captureWorkflow, j)
		return err
	},
}

// attemptTimeout bounds one run of the activity, its tries included. The server
// runs an activity that failed or took longer again, without end.
const attemptTimeout = contest.Tries * (contest.Timeout + time.Second)

func startAll(ctx context.Context, c client.Client, start starter, jobs []contest.Job) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fillers)
	for _, j := range jobs {
		group.Go(func() error {
			if err := start(ctx, c, j); err != nil {
				return fmt.Errorf("starting job %s: %w", j.TradeID, err)
			}
			return nil
		})
	}
	return group.Wait()
}
