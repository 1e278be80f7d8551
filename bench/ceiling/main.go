// Command ceiling is the limit of the wire: nothing but signed capture calls
// with net/http, as many at a time as its flag allows. It reads no queue and keeps
// no account.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/capture-worker/capture-worker/bench/peers/contest"
)

func main() {
	o := contest.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	client := newClient(o)
	defer client.close()
	summary := contest.NewSummary(o)
	var next, failed atomic.Int64
	run := time.Now().UnixNano()
	var posting sync.WaitGroup
	for range o.Concurrency {
		posting.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1)
				job := contest.Job{
					TradeID: fmt.Sprintf("C%d-%d", run, n), Amount: "24.99", Currency: "EUR",
					Description: fmt.Sprintf("order A-%d", n),
				}
				begin := time.Now()
				if err := client.capture(ctx, job); err == nil {
					summary.Add(time.Since(begin))
				} else if ctx.Err() == nil && failed.Add(1) == 1 {
					log.Println(err)
				}
			}
		})
	}
	posting.Wait()
	if err := summary.Write(os.Stdout, "one request"); err != nil {
		log.Fatal(err)
	}
}
