// Command consume stores the outcomes of captures in a folder, one file per event,
// until it is stopped:
//
//	consume FOLDER
//
// The folder represents a table whose key is the event's id.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// outcome has the members of an event that are stored. Other members, and those of
// later versions, are ignored.
type outcome struct {
	ID       string `json:"id"`
	Type     string `json:"type"` // captured, failed or parked
	TradeID  string `json:"trade_id"`
	OrderID  string `json:"order_id,omitempty"`
	Amount   string `json:"amount,omitempty"`
	Currency string `json:"currency,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Corrects string `json:"corrects,omitempty"` // the id of the outcome that this one replaces
	Sequence uint64 `json:"sequence"`           // the outcome with the highest one is current
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "consume:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: consume FOLDER")
	}
	if _, err := os.Stat(args[0]); err != nil {
		return fmt.Errorf("%w: create the folder first", err)
	}
	nc, err := nats.Connect(os.Getenv("NATS_URL"), nats.MaxReconnects(-1))
	if err != nil {
		return fmt.Errorf("no connection to NATS (%w): start nats-server, or set NATS_URL", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	// The durable consumer keeps the position: use a different name in each program.
	consumer, err := js.CreateOrUpdateConsumer(ctx, "CAPTURES", jetstream.ConsumerConfig{
		Durable:        "bookkeeping",
		FilterSubjects: []string{"captures.*.captured", "captures.*.failed", "captures.*.parked"},
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        30 * time.Second,
		MaxDeliver:     -1,
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return errors.New("there is no stream CAPTURES yet: start `capture-worker run`, which creates it")
	}
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if err := book(args[0], m); err != nil {
			fmt.Fprintln(os.Stderr, "consume: trying again in 5s:", err)
			_ = m.NakWithDelay(5 * time.Second) // if it is lost, AckWait has the same effect
			continue
		}
		if err := m.DoubleAck(ctx); err != nil {
			return err // redelivered, and recognized by its id
		}
	}
}

// book stores the event unless it is stored already. Process it in the same
// transaction, so that both happen or neither.
func book(folder string, m jetstream.Msg) error {
	var o outcome
	if err := json.Unmarshal(m.Data(), &o); err != nil {
		return err
	}
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	o.Sequence = meta.Sequence.Stream
	isNew, err := insert(folder, o)
	if err == nil && isNew {
		fmt.Printf("%s %s: %s %s %s\n", o.Type, o.TradeID, o.Amount, o.Currency, o.Reason)
	}
	return err
}

// insert is INSERT ... ON CONFLICT (id) DO NOTHING for a folder: atomic, and once.
func insert(folder string, o outcome) (isNew bool, err error) {
	text, err := json.Marshal(o)
	if err != nil {
		return false, err
	}
	draft, err := os.CreateTemp(folder, ".draft-")
	if err != nil {
		return false, err
	}
	defer os.Remove(draft.Name())
	_, err = draft.Write(text)
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return false, err
	}
	err = os.Link(draft.Name(), filepath.Join(folder, url.PathEscape(o.ID)+".json"))
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	return err == nil, err
}
