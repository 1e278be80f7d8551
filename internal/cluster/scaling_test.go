//go:build unix

package cluster

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/natsserver"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

const scalingTurns = 3

// load is a load of the workers. With the first, the gateway is slow and calls are
// few, so the machine is no limit, as in production. The second finds the limit of
// this machine, with broker and gateway on it.
type load struct {
	name    string
	latency time.Duration // of the gateway
	calls   int           // in flight, per worker
	jobs    func(workers int) int
	before  bool // the jobs are stored before the workers start
}

var loads = []load{
	{"gateway 100ms, 8 calls in flight per worker", 100 * time.Millisecond, 8, func(workers int) int { return 640 * workers }, false},
	{"gateway 0ms, 64 calls in flight per worker", 0, 64, func(int) int { return 5000 }, false},
}

// syncLoad is the load of TestReplicasAndSync.
var syncLoad = load{"gateway 20ms, 256 calls in flight", 20 * time.Millisecond, 256, func(int) int { return 8000 }, true}

// setting is one measured combination.
type setting struct {
	load     int // of loads
	replicas int
	workers  int
	synced   bool // the servers sync every message
}

func (s setting) String() string {
	return fmt.Sprintf("%s, R%d, %d workers", loads[s.load].name, s.replicas, s.workers)
}

// alone returns the same setting with one worker.
func (s setting) alone() setting {
	s.workers = 1
	return s
}

// TestScaling measures the captures per second of 1, 2 and 4 workers on one durable
// consumer, with one replica and with three. It requires only a small gain;
// docs/scaling.md has the numbers.
func TestScaling(t *testing.T) {
	if !*scaling {
		t.Skip("it takes minutes; run it with -scaling, or make scaling")
	}
	var settings []setting
	for load := range loads {
		for _, replicas := range []int{1, 3} {
			for _, workers := range []int{1, 2, 4} {
				settings = append(settings, setting{load: load, replicas: replicas, workers: workers})
			}
		}
	}
	rates := map[setting][]float64{}
	for turn := range scalingTurns { // interleaved, since the speed of a machine varies
		for _, s := range settings {
			t.Run(fmt.Sprintf("turn %d, %s", turn+1, s), func(t *testing.T) {
				rates[s] = append(rates[s], s.measure(t, loads[s.load]))
			})
		}
	}
	report(rates, settings)
	for _, replicas := range []int{1, 3} {
		if one, two := median(rates[setting{replicas: replicas, workers: 1}]), median(rates[setting{replicas: replicas, workers: 2}]); two < 1.3*one {
			t.Errorf("R%d: %.0f captures/s with two workers, %.0f with one", replicas, two, one)
		}
	}
}

// TestReplicasAndSync measures the captures per second of one worker with one
// replica and with three, with servers that sync every message and with servers
// that do not. It requires nothing of them; docs/performance.md has the numbers.
func TestReplicasAndSync(t *testing.T) {
	if !*scaling {
		t.Skip("it takes minutes; run it with -scaling, or make scaling")
	}
	rates := map[setting][]float64{}
	var settings []setting
	for _, replicas := range []int{1, 3} {
		for _, synced := range []bool{false, true} {
			settings = append(settings, setting{replicas: replicas, workers: 1, synced: synced})
		}
	}
	for turn := range scalingTurns {
		for _, s := range settings {
			t.Run(fmt.Sprintf("turn %d, R%d, synced %v", turn+1, s.replicas, s.synced), func(t *testing.T) {
				rates[s] = append(rates[s], s.measure(t, syncLoad))
			})
		}
	}
	fmt.Printf("\n%s, %d CPUs, %d turns\n\n| replicas | every message synced | captures/s, median (lowest, highest) |\n| --- | --- | --- |\n", syncLoad.name, runtime.NumCPU(), scalingTurns)
	for _, s := range settings {
		if r := rates[s]; len(r) > 0 {
			fmt.Printf("| %d | %v | %.0f (%.0f, %.0f) |\n", s.replicas, s.synced, median(r), slices.Min(r), slices.Max(r))
		}
	}
}

// measure returns the captures per second between the first and the ninth tenth,
// without the start and the end of the batch.
func (s setting) measure(t *testing.T, l load) float64 {
	t.Helper()
	w := newWorld(t, s.broker(t), gatewaytest.Options{Seed: 1, Latency: l.latency})
	env := append(w.env, "CAPTURE_NATS_REPLICAS="+strconv.Itoa(s.replicas), "CAPTURE_WORKER_CONCURRENCY="+strconv.Itoa(l.calls),
		"CAPTURE_NATS_ACK_WAIT=1m", "CAPTURE_GATEWAY_TIMEOUT=10s", "CAPTURE_RECONCILE_SETTLE=15s", "CAPTURE_RECONCILE_FINAL=1m")
	jobs := l.jobs(s.workers)
	if l.before {
		startWorker(t, "w0", env...).Stop(patience) // creates the streams
		w.placePlain("s", jobs)
	}
	var running []*processtest.Process
	for n := range s.workers {
		running = append(running, startWorker(t, fmt.Sprintf("w%d", n+1), env...))
	}
	if !l.before {
		w.placePlain("s", jobs)
	}
	effects := func() int { return int(w.sim.Stats().Effects) }
	processtest.WaitFor(t, patience, "a tenth of the captures", func() bool { return effects() >= jobs/10 })
	before, began := effects(), time.Now()
	processtest.WaitFor(t, patience, "nine tenths of the captures", func() bool { return effects() >= jobs*9/10 })
	after, took := effects(), time.Since(began)
	w.waitDone(patience)
	for _, p := range running {
		p.Stop(patience)
	}
	if report := w.audited(); report.Captured != jobs {
		t.Errorf("%d of %d jobs are captured", report.Captured, jobs)
	}
	return float64(after-before) / took.Seconds()
}

func (s setting) broker(t *testing.T) string {
	t.Helper()
	if s.replicas > 1 {
		start := natsserver.StartCluster
		if s.synced {
			start = natsserver.StartSyncedCluster
		}
		c, err := start(s.replicas, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Shutdown)
		return c.URL()
	}
	one, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir(), SyncAlways: s.synced})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(one.Shutdown)
	return one.URL()
}

// report prints the results as Markdown tables.
func report(rates map[setting][]float64, settings []setting) {
	fmt.Printf("\n%s/%s, %d CPUs, %s, %d turns\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), scalingTurns)
	last := -1
	for _, s := range settings {
		if s.load != last {
			last = s.load
			fmt.Printf("\n%s\n\n| replicas | workers | captures/s, median (lowest, highest) | to one worker |\n| --- | --- | --- | --- |\n", loads[s.load].name)
		}
		if r := rates[s]; len(r) > 0 {
			one := cmp.Or(median(rates[s.alone()]), 1)
			fmt.Printf("| %d | %d | %.0f (%.0f, %.0f) | %.2f |\n", s.replicas, s.workers, median(r), slices.Min(r), slices.Max(r), median(r)/one)
		}
	}
	fmt.Println()
}

func median(of []float64) float64 {
	if len(of) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(of))[len(of)/2]
}
