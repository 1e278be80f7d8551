// Asynq: the benchmark's jobs with asynq, whose queue is in Redis: no NATS.
//
// With -fill N it puts N jobs into the queue and ends; without, it works.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"

	"github.com/capture-worker/capture-worker/bench/peers/contest"
)

const (
	kind = "capture"
	// fillers is how many calls to Redis fill the queue at once: asynq has no
	// batches.
	fillers = 64
	// maxRetry bounds how often asynq itself runs a failed job again.
	maxRetry = 25
	// retryDelay is how long a failed job waits: asynq counts in seconds.
	retryDelay = time.Second
)

func main() {
	redis := flag.String("redis", "127.0.0.1:6379", "`address` of Redis")
	fill := flag.Int("fill", 0, "put so many jobs into the queue and end")
	servers := flag.Int("servers", 2, "asynq servers in this process, which share the concurrency")
	o := contest.Parse()
	s := contest.NewSummary(o)
	if *fill > 0 {
		contest.Main(s, "none: filled the queue", func(ctx context.Context) error {
			return enqueue(ctx, redisOf(*redis, fillers), contest.Jobs(*fill))
		})
	}
	contest.Main(s, "from the start of the handler until it returned", func(ctx context.Context) error {
		return work(ctx, redisOf(*redis, o.Concurrency), o, *servers, s)
	})
}

// redisOf sizes the pool: each job that ends makes a call, and the few
// goroutines of asynq itself make some. The default is ten for each core.
func redisOf(address string, concurrency int) asynq.RedisClientOpt {
	return asynq.RedisClientOpt{Addr: address, PoolSize: concurrency + 10}
}

func enqueue(ctx context.Context, redis asynq.RedisClientOpt, jobs []contest.Job) error {
	client := asynq.NewClient(redis)
	defer client.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fillers)
	for _, j := range jobs {
		payload, err := json.Marshal(j)
		if err != nil {
			return fmt.Errorf("writing job %s: %w", j.TradeID, err)
		}
		group.Go(func() error {
			_, err := client.EnqueueContext(ctx, asynq.NewTask(kind, payload), asynq.MaxRetry(maxRetry))
			if err != nil {
				return fmt.Errorf("putting job %s into the queue: %w", j.TradeID, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// work runs n servers of asynq in this process. Each takes its tasks in one
// loop, one call to Redis a task, which bounds it long before its workers do:
// two were measured to be faster than one, and four no faster than two.
func work(ctx context.Context, redis asynq.RedisClientOpt, o contest.Options, n int, s *contest.Summary) error {
	n = max(1, min(n, o.Concurrency))
	gateway := contest.NewClient(o)
	defer gateway.Close()
	handler := asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		start := time.Now()
		if err := gateway.CaptureJSON(ctx, t.Payload()); err != nil {
			return err
		}
		s.Add(time.Since(start))
		return nil
	})
	var servers []*asynq.Server
	defer func() {
		var stopping sync.WaitGroup
		for _, server := range servers {
			stopping.Go(server.Shutdown)
		}
		stopping.Wait()
	}()
	for i := range n {
		server := asynq.NewServer(redis, asynq.Config{
			Concurrency: (o.Concurrency + i) / n, // the sum is the concurrency
			LogLevel:    asynq.ErrorLevel,
			// The others get a job back at once; asynq waits 15 s or longer, and
			// looks every 5 s for those that have waited.
			RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return retryDelay },
			DelayedTaskCheckInterval: retryDelay,
			// A job in work at the end goes back to the queue.
			ShutdownTimeout: 500 * time.Millisecond,
		})
		if err := server.Start(handler); err != nil {
			return fmt.Errorf("starting asynq: %w", err)
		}
		servers = append(servers, server)
	}
	<-ctx.Done()
	return nil
}
