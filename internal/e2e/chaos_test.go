//go:build unix

package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

// The chaos is short among the other tests, or as long as CHAOS says; the order
// of its faults comes from CHAOS_SEED, and is different each time if CHAOS is
// set.
const (
	shortChaos = 10 * time.Second

	chaosWave    = 25
	chaosBacklog = 250 // no wave is published beyond it
)

func chaosLength(t *testing.T) time.Duration {
	t.Helper()
	given := os.Getenv("CHAOS")
	if given == "" {
		return shortChaos
	}
	length, err := time.ParseDuration(given)
	if err != nil {
		t.Fatalf("CHAOS: %v", err)
	}
	return length
}

func chaosSeed(t *testing.T) uint64 {
	t.Helper()
	if given := os.Getenv("CHAOS_SEED"); given != "" {
		seed, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
		return seed
	}
	if os.Getenv("CHAOS") != "" {
		return uint64(time.Now().Unix())
	}
	return 1
}

// TestChaos is an acceptance test: everything at once, for as long as one likes: workers killed,
// stopped and paused, the broker killed, the networks stuck and cut, the
// gateway down, the ledger full, two of these at a time, under load with
// hostile faults. Every job ends with one outcome that is true, and no rule is
// broken on the way.
func TestChaos(t *testing.T) {
	t.Parallel()
	c := startChaos(t, chaosSeed(t))
	for end := time.Now().Add(chaosLength(t)); time.Now().Before(end); {
		c.round()
	}
	c.calm(0)
	c.b.waitDone(2 * patience)
	for _, w := range c.workers {
		c.end(w)
	}
	report := settled(c.b, c.s, c.orders)
	t.Logf("seed %d: %d trades, %d captured, %d failed %v, %d parked %v, %d taken over in the middle of a call; %s",
		c.seed, report.Trades, report.Captured, report.Failed, report.FailedByReason, report.Parked, report.ParkedByReason,
		takenOver(c.b, c.orders), c.told())
}

// chaos is a world in trouble.
type chaos struct {
	t       *testing.T
	seed    uint64
	dice    *rand.Rand
	b       *broker
	s       *sim
	gateway *line // of the first worker
	nats    *line // of the first worker
	env     [][]string
	workers []*processtest.Process
	orders  []order
	deck    []incident // what comes next
	active  []trouble
	done    map[string]int
}

// trouble is something that has begun and is still so.
type trouble struct {
	name string
	on   int // the worker it is on, -1 for none
	undo func()
}

// incident begins a fault, or does something that is over at once, and reports
// false if it cannot be done just now.
type incident struct {
	name string
	do   func(c *chaos) bool
}

func incidents() []incident {
	return []incident{
		{"worker killed", (*chaos).killWorker}, {"worker stopped", (*chaos).stopWorker},
		{"worker paused", (*chaos).pauseWorker}, {"broker killed", (*chaos).killBroker},
		{"line to the gateway stuck", (*chaos).stickGateway}, {"line to the gateway cut", (*chaos).cutGateway},
		{"line to the broker stuck", (*chaos).stickNATS}, {"line to the broker cut", (*chaos).cutNATS},
		{"gateway down", (*chaos).gatewayDown}, {"ledger full", (*chaos).ledgerFull},
	}
}

func startChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	t.Logf("chaos for %s with CHAOS_SEED=%d", chaosLength(t), seed)
	c := &chaos{
		t: t, seed: seed, dice: rand.New(rand.NewPCG(seed, 1)), done: map[string]int{},
		b: startBroker(t), s: startSim(t, "--faults", "hostile", "--seed", strconv.FormatUint(seed, 10), "--latency", "50ms"),
	}
	var gatewayEnv, natsEnv string
	c.gateway, gatewayEnv = gatewayLine(t, c.s)
	c.nats, natsEnv = natsLine(t, c.b)
	for n := range 3 {
		env := workerEnv(c.b, c.s, "CAPTURE_WORKER_CONCURRENCY=8")
		if n == 0 {
			env = append(env, gatewayEnv, natsEnv)
		}
		c.env = append(c.env, env)
		c.workers = append(c.workers, nil)
		c.run(n)
	}
	return c
}

func (c *chaos) run(n int) {
	c.t.Helper()
	c.workers[n] = startWorker(c.t, fmt.Sprintf("w%d-%d", n, len(c.orders)), c.env[n])
}

// round publishes jobs and begins one fault in the middle of them.
func (c *chaos) round() {
	c.t.Helper()
	before := c.s.calls()
	if info, err := c.b.consumer(jobsStream); err == nil && int(info.NumPending) < chaosBacklog {
		orders := mixed(c.t, fmt.Sprintf("r%d", len(c.orders)), chaosWave)
		place(c.b, c.s, orders)
		c.orders = append(c.orders, orders...)
		if len(c.active) == 0 {
			c.s.waitCalls(5, before)
		}
	}
	c.doOne()
	stay(time.Duration(100+c.dice.IntN(900)) * time.Millisecond)
	if len(c.active) > 1 {
		c.calm(1)
	}
}

// doOne begins the next fault of the deck that is possible now. The deck is
// shuffled when it is used up, so that each fault has its turn.
func (c *chaos) doOne() {
	for range incidents() {
		if len(c.deck) == 0 {
			c.deck = incidents()
			c.dice.Shuffle(len(c.deck), func(i, j int) { c.deck[i], c.deck[j] = c.deck[j], c.deck[i] })
		}
		next := c.deck[0]
		c.deck = c.deck[1:]
		if next.do(c) {
			c.done[next.name]++
			return
		}
	}
}

// calm ends the oldest troubles until so many are left.
func (c *chaos) calm(left int) {
	for len(c.active) > left {
		oldest := c.active[0]
		c.active = c.active[1:]
		oldest.undo()
	}
}

// begin makes a trouble last until its undo is called.
func (c *chaos) begin(name string, on int, undo func()) {
	c.active = append(c.active, trouble{name, on, undo})
}

func (c *chaos) told() string {
	var out string
	for _, name := range slices.Sorted(maps.Keys(c.done)) {
		out += fmt.Sprintf("%s %d times, ", name, c.done[name])
	}
	return out
}
