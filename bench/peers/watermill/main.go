// Watermill: the benchmark's jobs with Watermill 1.5 and watermill-nats 2.1.
//
// -kind chooses between the two subscriber packages of watermill-nats:
// pkg/nats, the one that its documentation recommends, and pkg/jetstream, the
// newer one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/bench/peers/contest"
)

// ackWait is how long Watermill waits for a handler before it forgets the
// message; the server sends it again later.
const ackWait = time.Minute

type program struct {
	contest.Options
	conn    *nats.Conn
	client  *contest.Client
	summary *contest.Summary
}

func main() {
	kind := flag.String("kind", "nats", "package of the subscriber: nats or jetstream")
	o := contest.Parse()
	subscribe := map[string]func(context.Context, *program) (subscription, error){
		"nats": subscribePush, "jetstream": subscribePull,
	}[*kind]
	if subscribe == nil {
		fmt.Fprintf(os.Stderr, "-kind is %q: must be nats or jetstream\n", *kind)
		os.Exit(2)
	}
	p := &program{Options: o, client: contest.NewClient(o), summary: contest.NewSummary(o)}
	contest.Main(p.summary, "from delivery to the handler until the ack was handed to Watermill", func(ctx context.Context) error {
		var err error
		if p.conn, err = nats.Connect(o.NATS); err != nil {
			return fmt.Errorf("connecting to NATS: %w", err)
		}
		s, err := subscribe(ctx, p)
		if err != nil {
			return err
		}
		return p.route(ctx, s)
	})
}

// handle is the handler: an error sends the message back to the stream.
func (p *program) handle(m *message.Message) error {
	start := time.Now()
	if err := p.client.CaptureJSON(m.Context(), m.Payload); err != nil {
		return err
	}
	p.summary.Add(time.Since(start))
	return nil
}
