// Command naive is the worker that one writes in an hour: pull, POST, ack. It
// keeps no ledger and asks nobody for the truth: a crash or a timeout captures
// twice or not at all.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/bench/contest"
)

func main() {
	o := contest.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	nc, err := nats.Connect(o.NATS)
	check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	check(err)
	consumer, err := js.Consumer(ctx, o.Stream, o.Consumer)
	check(err)
	// Fewer than 512, and a heartbeat much longer, were seen to stall.
	pulled, err := consumer.Messages(jetstream.PullMaxMessages(max(512, 2*o.Concurrency)),
		jetstream.PullExpiry(10*time.Second), jetstream.PullHeartbeat(500*time.Millisecond))
	check(err)
	context.AfterFunc(ctx, pulled.Stop)

	client := contest.NewClient(o)
	defer client.Close()
	summary := contest.NewSummary(o)
	deliveries := make(chan jetstream.Msg)
	var working sync.WaitGroup
	for range o.Concurrency {
		working.Go(func() {
			for m := range deliveries {
				begin := time.Now()
				if work(ctx, client, m) {
					summary.Add(time.Since(begin))
				}
			}
		})
	}
	for m, err := pulled.Next(); err == nil; m, err = pulled.Next() {
		deliveries <- m
	}
	close(deliveries)
	working.Wait()
	check(summary.Write(os.Stdout, "delivery to the handler until acked"))
}

func work(ctx context.Context, client *contest.Client, m jetstream.Msg) (done bool) {
	var job contest.Job
	err := json.Unmarshal(m.Data(), &job)
	if err == nil {
		err = client.CaptureRetrying(ctx, job)
	}
	if err != nil {
		m.Nak()
		return false
	}
	return m.Ack() == nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
