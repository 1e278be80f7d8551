// Command naive is the worker that one writes in an hour: pull, POST, ack, with
// the codec of capture-worker (packages capture and gateway). It keeps no ledger
// and sends no Order Query: a crash or a timeout captures twice or not at
// all.
//
// With -ledger it also writes the two events of each capture by package ledger,
// and still decides, counts and tells nothing: what the guard and the proof cost
// on this machine, for any worker.
package main

import (
	"context"
	"crypto/rand"
	"flag"
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
	"github.com/capture-worker/capture-worker/ledger"
)

func main() {
	stream := flag.String("ledger", "", "write the intent and the outcome of each capture to this `stream`; empty: write nothing")
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
	w := &worker{jobs: jobs, client: client, slots: make(chan struct{}, o.Concurrency)}
	handlers := o.Concurrency
	if *stream != "" {
		_, err := ledger.EnsureStream(ctx, js, ledger.StreamConfig{Stream: *stream})
		check(err)
		w.ledger = ledger.NewJetStream(js, ledger.Options{Stream: *stream})
		handlers *= 2 // so that no slot waits for an append
	}
	summary := contest.NewSummary(o)
	deliveries := make(chan jetstream.Msg)
	var working sync.WaitGroup
	for range handlers {
		working.Go(func() {
			for m := range deliveries {
				begin := time.Now()
				if w.work(ctx, m) {
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

type worker struct {
	jobs   *capture.Decoder
	client *gateway.Client
	ledger ledger.Ledger // nil: none
	slots  chan struct{} // a call in flight each
}

func (w *worker) work(ctx context.Context, m jetstream.Msg) (done bool) {
	job, err := w.jobs.Decode(m.Headers(), m.Data())
	id, seq := rand.Text(), uint64(0)
	if err == nil && w.ledger != nil {
		seq, err = w.ledger.Append(ctx, capture.Event{
			ID: rand.Text(), Type: capture.Attempted, TradeID: job.TradeID, Time: time.Now(), Worker: "naive",
			OrderID: job.OrderID, Attempt: 1, Call: 1, RequestID: id, LeaseUntil: time.Now().Add(time.Minute), Job: &job,
		}, 0)
	}
	for try := 0; err == nil && try < contest.Tries; try++ {
		if answer := w.call(ctx, &job, id); answer.Kind == capture.AnswerDone {
			return w.end(ctx, &job, id, &answer, seq) == nil && m.Ack() == nil
		}
		time.Sleep(contest.RetryPause)
	}
	m.Nak()
	return false
}

func (w *worker) call(ctx context.Context, job *capture.Job, id string) capture.Answer {
	w.slots <- struct{}{}
	defer func() { <-w.slots }()
	return w.client.Capture(ctx, gateway.CaptureRequest{
		TradeID: job.TradeID, Amount: job.Amount, Description: job.Description, RequestID: id,
	})
}

func (w *worker) end(ctx context.Context, job *capture.Job, id string, answer *capture.Answer, after uint64) error {
	if w.ledger == nil {
		return nil
	}
	_, err := w.ledger.Append(ctx, capture.Event{
		ID: rand.Text(), Type: capture.Captured, TradeID: job.TradeID, Time: time.Now(), Worker: "naive",
		OrderID: job.OrderID, Attempt: 1, Call: 1, RequestID: id, Via: capture.ViaCapture, Answer: answer,
		Amount: job.Amount.Number(), Currency: job.Amount.Currency(),
	}, after)
	return err
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
