// Command naive is the worker that one writes in an hour: pull, POST, ack, with
// the codec of capture-worker (packages capture and gateway). It keeps no ledger
// and asks nobody for the truth: a crash or a timeout captures twice or not at
// all.
package main

import (
	"context"
	"crypto/rand"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/bench/peers/contest"
	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
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

	client, err := gateway.New(gateway.Config{URL: o.Gateway, User: o.User, SecretKey: gateway.Secret(o.Secret), Concurrency: o.Concurrency})
	check(err)
	defer client.Close()
	jobs, err := capture.NewDecoder(capture.Mapping{})
	check(err)
	summary := contest.NewSummary(o)
	deliveries := make(chan jetstream.Msg)
	var working sync.WaitGroup
	for range o.Concurrency {
		working.Go(func() {
			for m := range deliveries {
				begin := time.Now()
				if work(ctx, jobs, client, m) {
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

func work(ctx context.Context, jobs *capture.Decoder, client *gateway.Client, m jetstream.Msg) (done bool) {
	job, err := jobs.Decode(m.Headers(), m.Data())
	for try := 0; err == nil && try < contest.Tries; try++ {
		answer := client.Capture(ctx, gateway.CaptureRequest{
			TradeID: job.TradeID, Amount: job.Amount, Description: job.Description, RequestID: rand.Text(),
		})
		if answer.Kind == capture.AnswerDone {
			return m.Ack() == nil
		}
		time.Sleep(contest.RetryPause)
	}
	m.Nak()
	return false
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
