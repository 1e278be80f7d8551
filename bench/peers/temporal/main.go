// Temporal: the benchmark's jobs as activities of Temporal: no NATS, and more
// than a queue.
//
// With -fill N it starts N jobs and ends; without, it works. -kind says what a
// job is: an activity on its own, or a workflow that runs one activity.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/capture-worker/capture-worker/bench/peers/contest"
)

func main() {
	address := flag.String("temporal", "127.0.0.1:7233", "`address` of the server; the namespace is default")
	fill := flag.Int("fill", 0, "start so many jobs and end")
	kind := flag.String("kind", kindActivity, "what a job is: activity or workflow")
	o := contest.Parse()
	start := starters[*kind]
	if start == nil {
		fmt.Fprintf(os.Stderr, "-kind is %q: must be activity or workflow\n", *kind)
		os.Exit(2)
	}
	s := contest.NewSummary(o)
	note := "from the start of the activity until it returned"
	if *fill > 0 {
		note = "none: started the jobs"
	}
	contest.Main(s, note, func(ctx context.Context) error {
		c, err := client.DialContext(ctx, client.Options{
			HostPort: *address,
			Logger:   log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		})
		if err != nil {
			return fmt.Errorf("reaching the server at %s: %w", *address, err)
		}
		defer c.Close()
		if *fill > 0 {
			return startAll(ctx, c, start, contest.Jobs(*fill))
		}
		return work(ctx, c, o, *kind, s)
	})
}
