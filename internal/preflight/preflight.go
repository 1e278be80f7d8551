// Package preflight looks at everything a worker needs before it starts, or when
// it does not do what it should: NATS, the streams, the gateway, the clocks,
// the notifications. It creates and changes nothing, and the one question it
// asks the gateway is about a trade that does not exist.
package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/ledger"
)

// Level says how bad a finding is.
type Level string

// The levels. With an error a worker does not start or does not work; a
// warning is for a person to think about.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Error   Level = "error"
)

// Finding is one thing that was looked at.
type Finding struct {
	Level Level  `json:"level"`
	Area  string `json:"area"` // nats, ledger, jobs, gateway, clock, notifications
	Found string `json:"found"`
	Do    string `json:"do,omitempty"` // what to do about it
}

// step bounds the wait for one answer of the broker.
const step = 5 * time.Second

// Checker looks. Its fields are set before Run.
type Checker struct {
	Config config.Config
	// Connect connects to NATS; Run closes the connection.
	Connect func(context.Context) (*nats.Conn, jetstream.JetStream, error)
	// Query asks Order Query, as gateway.Client.Query does. Nil: the settings
	// of the gateway are not complete, and Missing says so.
	Query   func(ctx context.Context, tradeID string) capture.Answer
	Missing error
	Streams jobstream.Config
	Limits  jobstream.Limits
	// For is what the user of NATS is there for; "" is ForWorker.
	For Role

	found    []Finding
	absent   map[string]int // what does not exist, as "stream NAME" and "consumer NAME": where found says so
	noLedger bool           // its stream does not exist
	alone    bool           // the server is not one of a cluster
	mine     *permissions   // of our user; nil where they have no limit or are not known
}

// Run looks at everything it can reach and returns what it found, the good
// news too. It ends early only when ctx does.
func (c *Checker) Run(ctx context.Context) []Finding {
	c.found, c.absent = nil, map[string]int{}
	c.broker(ctx)
	c.gateway(ctx)
	c.notifications()
	return c.found
}

// Worst returns the worst level among the findings.
func Worst(found []Finding) Level {
	worst := OK
	for _, f := range found {
		if f.Level == Error || f.Level == Warning && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

func (c *Checker) add(l Level, area, do, found string, args ...any) {
	c.found = append(c.found, Finding{Level: l, Area: area, Found: fmt.Sprintf(found, args...), Do: do})
}

// broker looks at NATS and at what is in JetStream.
func (c *Checker) broker(ctx context.Context) {
	nc, js, err := c.Connect(ctx)
	if err != nil {
		c.add(Error, "nats", "start the server, or correct nats.url, nats.context or the credentials", "%v", err)
		return
	}
	defer nc.Close()
	c.server(nc)
	if c.account(ctx, js) {
		c.ledger(ctx, js)
		c.streams(ctx, js)
		c.control(ctx, js)
		c.people(ctx, js)
	}
	// Last: it knows by then what is missing and would have to be created, and
	// a refusal of this question is not taken for the reason of another.
	c.permissions(ctx, nc, js)
	c.occupied(ctx, js)
}

// ledger looks at the ledger's stream.
func (c *Checker) ledger(ctx context.Context, js jetstream.JetStream) {
	ctx, cancel := context.WithTimeout(ctx, step)
	defer cancel()
	name := c.Config.Ledger.Stream
	before := time.Now()
	info, problems, err := ledger.InspectStream(ctx, js, ledger.StreamConfig{
		Stream: name, Replicas: c.Config.NATS.Replicas, MaxAge: cmp.Or(c.Config.Ledger.MaxAge, ledger.Forever),
	})
	if c.unavailable(js, err, "ledger", "stream "+name) {
		c.noLedger = errors.Is(err, jetstream.ErrStreamNotFound)
		return
	}
	c.add(OK, "ledger", "", "stream %s holds %d events (%s), kept for %s",
		name, info.State.Msgs, bytesText(info.State.Bytes), ageText(info.Config.MaxAge))
	for _, p := range problems {
		level := Warning
		if p.Unfit {
			level = Error
		}
		c.add(level, "ledger", "", "%s", p.Text)
	}
	c.brokerClock(info.TimeStamp, before)
}
