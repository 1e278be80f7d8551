//go:build unix

package e2e

import (
	"slices"
	"syscall"
	"time"

	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// spared picks a worker that is in no trouble; false where all are.
func (c *chaos) spared() (int, bool) {
	var free []int
	for n := range c.workers {
		if !slices.ContainsFunc(c.active, func(t trouble) bool { return t.on == n }) {
			free = append(free, n)
		}
	}
	if len(free) == 0 {
		return 0, false
	}
	return free[c.dice.IntN(len(free))], true
}

// lineFree tells whether the first worker, the one behind lines, is spared.
func (c *chaos) lineFree() bool {
	return !slices.ContainsFunc(c.active, func(t trouble) bool { return t.on == 0 })
}

func (c *chaos) killWorker() bool {
	n, ok := c.spared()
	if ok {
		c.workers[n].Kill()
		c.run(n)
	}
	return ok
}

func (c *chaos) stopWorker() bool {
	n, ok := c.spared()
	if ok {
		c.end(c.workers[n])
		c.run(n)
	}
	return ok
}

// end stops a worker softly. Its exit code may say that jobs were left in flight:
// in the middle of all this some calls hang for longer than a stop may take.
func (c *chaos) end(w *processtest.Process) {
	c.t.Helper()
	w.Signal(syscall.SIGTERM)
	if code := w.Exit(patience); code != 0 && code != 1 {
		c.t.Errorf("%s ended with exit code %d after SIGTERM", w.Name, code)
	}
}

// pauseWorker stops a worker in its tracks; every third time for longer than
// the ack wait and its leases.
func (c *chaos) pauseWorker() bool {
	n, ok := c.spared()
	if !ok {
		return false
	}
	w := c.workers[n]
	w.Pause()
	c.begin("paused", n, func() { w.Resume() })
	if c.dice.IntN(3) == 0 {
		stay(8 * time.Second)
	}
	return true
}

// killBroker kills the broker, sometimes again as soon as it is back.
func (c *chaos) killBroker() bool {
	for range 1 + c.dice.IntN(2) {
		c.b.process.Kill()
		stay(time.Duration(c.dice.IntN(1000)) * time.Millisecond)
		c.b.start()
		processtest.WaitFor(c.t, patience, "the broker to know its consumer again", func() bool {
			_, err := c.b.consumer(jobsStream)
			return err == nil
		})
	}
	return true
}

// stickGateway holds calls back for longer than their timeout, but not for
// longer than the settle time allows.
func (c *chaos) stickGateway() bool {
	if !c.lineFree() {
		return false
	}
	c.gateway.set(lineStuck)
	stay(1100 * time.Millisecond)
	c.gateway.set(lineUp)
	return true
}

func (c *chaos) cutGateway() bool {
	if !c.lineFree() {
		return false
	}
	c.gateway.set(lineCut)
	c.begin("no gateway", 0, func() { c.gateway.set(lineUp) })
	return true
}

// stickNATS holds everything between a worker and the broker back; every third
// time for longer than the ack wait and its leases.
func (c *chaos) stickNATS() bool {
	if !c.lineFree() {
		return false
	}
	c.nats.set(lineStuck)
	c.begin("NATS stuck", 0, func() { c.nats.set(lineUp) })
	if c.dice.IntN(3) == 0 {
		stay(8 * time.Second)
	}
	return true
}

func (c *chaos) cutNATS() bool {
	if !c.lineFree() {
		return false
	}
	c.nats.set(lineCut)
	c.begin("no NATS", 0, func() { c.nats.set(lineUp) })
	return true
}

// again tells whether such a trouble is there already.
func (c *chaos) again(name string) bool {
	return slices.ContainsFunc(c.active, func(t trouble) bool { return t.name == name })
}

func (c *chaos) gatewayDown() bool {
	if c.again("gateway down") {
		return false
	}
	outages := []gatewaytest.Down{gatewaytest.DownReset, gatewaytest.DownHang, gatewaytest.Down502}
	c.s.down(outages[c.dice.IntN(len(outages))])
	c.begin("gateway down", -1, func() { c.s.down(gatewaytest.Up) })
	return true
}

// ledgerFull leaves the ledger room for a few more events.
func (c *chaos) ledgerFull() bool {
	if c.again("ledger full") {
		return false
	}
	c.roomInLedger(func(used uint64) int64 { return int64(used) + 4<<10 })
	c.begin("ledger full", -1, func() { c.roomInLedger(func(uint64) int64 { return -1 }) })
	return true
}

func (c *chaos) roomInLedger(room func(used uint64) int64) {
	c.t.Helper()
	processtest.WaitFor(c.t, patience, "the room of the ledger's stream to change", func() bool {
		stream, err := c.b.js.Stream(c.t.Context(), ledger.DefaultStream)
		if err != nil {
			return false
		}
		config := stream.CachedInfo().Config
		config.MaxBytes = room(stream.CachedInfo().State.Bytes)
		_, err = c.b.js.UpdateStream(c.t.Context(), config)
		return err == nil
	})
}
