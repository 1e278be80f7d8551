// Package preflight checks everything that a worker needs: NATS, the streams, the
// permissions, the gateway, the clocks, the notifications. It creates and changes
// nothing, and its one Order Query is about a trade that does not exist.
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
	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/ledger"
)

// stepTimeout limits the wait for one answer of the broker.
const stepTimeout = 5 * time.Second

// Checker runs the checks. Its fields are set before Run.
type Checker struct {
	Config config.Config
	// Connect connects to NATS; Run closes the connection.
	Connect func(context.Context) (*nats.Conn, jetstream.JetStream, error)
	// Query asks Order Query, as gateway.Client.Query does. It is nil if the
	// settings of the gateway are incomplete; Missing is the error.
	Query   func(ctx context.Context, tradeID string) capture.Answer
	Missing error
	Streams jobstream.Config
	Limits  jobstream.Limits
	// For is the role of the NATS user; "" is ForWorker.
	For Role

	found    []finding.Finding
	absent   map[string]int // what does not exist, as "stream NAME" and "consumer NAME": index in found
	noLedger bool           // its stream does not exist
	alone    bool           // the server is not part of a cluster
	mine     *permissions   // of our user; nil if they are unlimited or unknown
}

// Run checks everything it can reach and returns all findings. It ends early only
// when ctx does.
func (c *Checker) Run(ctx context.Context) []finding.Finding {
	c.found, c.absent = nil, map[string]int{}
	c.broker(ctx)
	c.gateway(ctx)
	c.notifications()
	return c.found
}

func (c *Checker) add(s finding.Severity, area, fix, what string, args ...any) {
	c.found = append(c.found, finding.Finding{Severity: s, Area: area, What: fmt.Sprintf(what, args...), Fix: fix})
}

// addAll adds the findings of another package about an area.
func (c *Checker) addAll(area string, found []finding.Finding) {
	for _, f := range found {
		f.Area = area
		c.found = append(c.found, f)
	}
}

// broker checks NATS and what is in JetStream.
func (c *Checker) broker(ctx context.Context) {
	nc, js, err := c.Connect(ctx)
	if err != nil {
		c.add(finding.Error, "nats", "start the server, or correct nats.url, nats.context or the credentials", "%v", err)
		return
	}
	defer nc.Close()
	c.server(nc)
	if c.account(ctx, js) {
		c.ledger(ctx, js)
		c.streams(ctx, js)
		c.control(ctx, js)
		c.pending(ctx, js)
	}
	// Last: by then it is known what has to be created, and a refusal of this
	// request is not mistaken for the error of another.
	c.permissions(ctx, nc, js)
	c.occupied(ctx, js)
}

// ledger checks the ledger's stream, and the one that is copied from it.
func (c *Checker) ledger(ctx context.Context, js jetstream.JetStream) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	wanted := ledger.StreamConfig{
		Stream: c.Config.Ledger.Stream, Cases: c.Config.Ledger.Cases,
		Replicas: c.Config.NATS.Replicas, MaxAge: cmp.Or(c.Config.Ledger.MaxAge, ledger.Forever),
	}
	before := time.Now()
	info, problems, err := ledger.InspectStream(ctx, js, wanted)
	if c.unavailable(js, err, "ledger", "stream "+wanted.Stream) {
		c.noLedger = errors.Is(err, jetstream.ErrStreamNotFound)
	} else {
		c.add(finding.OK, "ledger", "", "stream %s holds %d events (%s), kept for %s",
			wanted.Stream, info.State.Msgs, bytesText(info.State.Bytes), ageText(info.Config.MaxAge))
		c.addAll("ledger", problems)
		c.brokerClock(info.TimeStamp, before)
	}
	info, problems, err = ledger.InspectCases(ctx, js, wanted)
	if c.unavailable(js, err, "ledger", "stream "+wanted.Cases) {
		return
	}
	c.add(finding.OK, "ledger", "", "stream %s holds %d events (%s)", wanted.Cases, info.State.Msgs, bytesText(info.State.Bytes))
	c.addAll("ledger", problems)
}
