// Command withdraw says that an order is not to be captured any more:
//
//	withdraw ORDER_ID REASON
//
// If it succeeds, the withdrawal is stored. After any error, run it again: an order
// is withdrawn once. The outcome of each of its trades comes as an event.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// withdrawal is what docs/jobs.md describes.
type withdrawal struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "withdraw:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: withdraw ORDER_ID REASON")
	}
	body, err := json.Marshal(withdrawal{args[0], args[1]})
	if err != nil {
		return err
	}
	nc, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stored, err := js.Publish(ctx, "capture.withdrawals.returns", body)
	if err != nil {
		return fmt.Errorf("it is not known whether the withdrawal was stored; publish it again: %w", err)
	}
	fmt.Printf("stored in %s as %d\n", stored.Stream, stored.Sequence)
	return nil
}
