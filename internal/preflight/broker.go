package preflight

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natsconn"
)

// The oldest server version whose JetStream supports the ledger's guard.
const (
	serverMajor = 2
	serverMinor = 11
)

func (c *Checker) server(nc *nats.Conn) {
	c.alone = nc.ConnectedClusterName() == ""
	version := nc.ConnectedServerVersion()
	var major, minor int
	if _, err := fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d", &major, &minor); err != nil {
		c.add(finding.Warning, "nats", "make sure that it is 2.11 or newer", "connected to %s, whose version %q cannot be read", natsconn.Server(nc), version)
		return
	}
	if major < serverMajor || major == serverMajor && minor < serverMinor {
		c.add(finding.Error, "nats", "upgrade nats-server to 2.11 or newer: older ones do not guard an append by a trade's last event",
			"connected to %s, nats-server %s", natsconn.Server(nc), version)
		return
	}
	c.add(finding.OK, "nats", "", "connected to %s, nats-server %s", natsconn.Server(nc), version)
}

// account checks JetStream's limits for our account. It returns false if there is
// no JetStream.
func (c *Checker) account(ctx context.Context, js jetstream.JetStream) bool {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	info, err := js.AccountInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		c.add(finding.Error, "nats", "start the server with JetStream, and enable it for this account", "JetStream is not enabled")
		return false
	case err != nil:
		c.add(finding.Error, "nats", "look at the server's log; the account needs the permission for $JS.API.>", "JetStream does not answer: %v", natsconn.Explain(js.Conn(), err))
		return false
	}
	tiers := map[string]jetstream.Tier{"": info.Tier}
	if len(info.Tiers) > 0 {
		tiers = info.Tiers
	}
	for name, tier := range tiers {
		c.store(name, tier)
	}
	return true
}

// fullAt is the part of the disk's limit from which an operator should act.
const fullAt = 0.8

func (c *Checker) store(tier string, t jetstream.Tier) {
	where := "JetStream"
	if tier != "" {
		where += " (" + tier + ")"
	}
	used, limit := t.Store, t.Limits.MaxStore
	const do = "raise the account's limit on file storage, or the disk's size"
	switch {
	case limit <= 0:
		c.add(finding.OK, "nats", "", "%s uses %s on disk, without a limit for the account", where, bytesText(used))
	case used >= uint64(limit):
		c.add(finding.Error, "nats", do, "%s is full: %s of %s on disk; no event can be written", where, bytesText(used), bytesText(uint64(limit)))
	case float64(used) >= fullAt*float64(limit):
		c.add(finding.Warning, "nats", do, "%s uses %s of %s on disk", where, bytesText(used), bytesText(uint64(limit)))
	default:
		c.add(finding.OK, "nats", "", "%s uses %s of %s on disk", where, bytesText(used), bytesText(uint64(limit)))
	}
}

// streams looks at the streams beside the ledger, and at the consumers.
func (c *Checker) streams(ctx context.Context, js jetstream.JetStream) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	found, err := jobstream.Inspect(ctx, js, c.Streams, c.Limits)
	if err != nil {
		c.add(finding.Error, "jobs", "look at the server's log and the account's permissions", "%v", natsconn.Explain(js.Conn(), err))
		return
	}
	for i, wanted := range jobstream.Streams(c.Streams) {
		if info := found.Streams[i]; info == nil {
			c.missing("jobs", "stream "+wanted.Config.Name)
		} else {
			c.add(finding.OK, "jobs", "", "stream %s holds %d messages (%s)", wanted.Config.Name, info.State.Msgs, bytesText(info.State.Bytes))
		}
	}
	for i, wanted := range c.Streams.Consumers {
		if found.Consumers[i] == nil {
			c.missing("jobs", "consumer "+wanted.Name)
		} else {
			c.consumer(found.Consumers[i])
		}
	}
	if w := c.Streams.Withdrawals; w.Stream != "" && found.Withdrawals == nil {
		c.missing("jobs", "consumer "+w.Consumer)
	} else if info := found.Withdrawals; info != nil {
		c.add(finding.OK, "jobs", "", "consumer %s: %d withdrawals pending, %d in flight or waiting for their order's trade",
			info.Name, info.NumPending, info.NumAckPending)
	}
	c.addAll("jobs", found.Findings)
}

func (c *Checker) consumer(info *jetstream.ConsumerInfo) {
	c.add(finding.OK, "jobs", "", "consumer %s: %d jobs pending, %d in flight or waiting for a retry",
		info.Name, info.NumPending, info.NumAckPending)
	if begun := info.Delivered.Consumer; c.noLedger && begun > 0 {
		// Replaces the earlier finding: run does not create it then.
		f := &c.found[c.absent["stream "+c.Config.Ledger.Stream]]
		f.Severity, f.Fix = finding.Error, "restore it, see Backup and restore in docs/operations.md; with an empty one each of their trades would count as new"
		f.What = fmt.Sprintf("stream %s does not exist: the ledger is missing, but consumer %s has delivered jobs (%d times)", c.Config.Ledger.Stream, info.Name, begun)
	}
	if info.Paused {
		c.add(finding.Warning, "jobs", "`capture-worker lane resume "+c.lane(info.Name)+"` ends it",
			"consumer %s is paused for another %s: no job is delivered", info.Name, info.PauseRemaining.Round(time.Second))
	}
}

// lane returns the label of a consumer's lane.
func (c *Checker) lane(consumer string) string {
	for _, lane := range c.Config.LaneList() {
		if lane.Consumer == consumer {
			return lane.Label()
		}
	}
	return consumer
}

// unavailable adds a finding if a stream cannot be read, and reports whether it
// did.
func (c *Checker) unavailable(js jetstream.JetStream, err error, area, what string) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, jetstream.ErrStreamNotFound):
		c.missing(area, what)
	default:
		c.add(finding.Error, area, "look at the server's log and the account's permissions", "%v", natsconn.Explain(js.Conn(), err))
	}
	return true
}

func (c *Checker) missing(area, what string) {
	do := "`capture-worker run` creates it"
	if c.alone && c.Config.NATS.Replicas > 1 && strings.HasPrefix(what, "stream ") {
		do += fmt.Sprintf(", but not with the %d replicas of nats.replicas: this server is not part of a cluster", c.Config.NATS.Replicas)
	}
	c.absent[what] = len(c.found)
	c.add(finding.Warning, area, do, "%s does not exist yet", what)
}

func (c *Checker) isAbsent(what string) bool {
	_, is := c.absent[what]
	return is
}

func bytesText(n uint64) string {
	const k = 1024
	switch {
	case n >= k*k*k:
		return fmt.Sprintf("%.1f GiB", float64(n)/(k*k*k))
	case n >= k*k:
		return fmt.Sprintf("%.1f MiB", float64(n)/(k*k))
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/k)
}

func ageText(d time.Duration) string {
	if d <= 0 {
		return "ever"
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}
