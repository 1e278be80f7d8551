// Command publish requests one capture:
//
//	publish TRADE_ID AMOUNT CURRENCY ORDER_ID AUTHORIZED_AT
//
// If it succeeds, the job is stored. After any error, run it again: a repeated
// job captures once.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// job is what docs/jobs.md describes. Amounts are strings: a binary
// fraction loses cents.
type job struct {
	TradeID      string `json:"trade_id"`
	Amount       string `json:"amount"`
	Currency     string `json:"currency"`
	OrderID      string `json:"order_id,omitempty"`
	AuthorizedAt string `json:"authorized_at,omitempty"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "publish:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 5 {
		return errors.New("usage: publish TRADE_ID AMOUNT CURRENCY ORDER_ID AUTHORIZED_AT")
	}
	body, err := json.Marshal(job{args[0], args[1], args[2], args[3], args[4]})
	if err != nil {
		return err
	}
	nc, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		return fmt.Errorf("no connection to NATS (%w): start nats-server, or set NATS_URL", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// Equal jobs within the stream's duplicate window are stored once.
	sum := sha256.Sum256(body)
	stored, err := js.Publish(ctx, "capture.jobs.shipped", body, jetstream.WithMsgID(hex.EncodeToString(sum[:])))
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		return errors.New("the job is not stored, no stream takes capture.jobs.shipped: start `capture-worker run`, which creates it, then publish it again")
	}
	if err != nil {
		return fmt.Errorf("the job may not be stored, publish it again: %w", err)
	}
	fmt.Printf("stored in %s as %d, again: %t\n", stored.Stream, stored.Sequence, stored.Duplicate)
	return nil
}
