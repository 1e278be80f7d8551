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
)

// What is measured: a gateway that answers after 100 ms, and workers that make
// few calls at a time, so that the machine is not what limits them.
const (
	scalingTurns   = 3
	scalingLatency = 100 * time.Millisecond
	scalingCalls   = 8 // in flight, per worker
	// scalingTime is about how long a turn takes if all is as it should be.
	scalingTime = 8 * time.Second
)

// setting is one thing that is measured.
type setting struct {
	replicas int
	workers  int
}

func (s setting) String() string { return fmt.Sprintf("R%d, %d workers", s.replicas, s.workers) }

// expected is the rate that the gateway's latency allows.
func (s setting) expected() float64 {
	return float64(s.workers*scalingCalls) / scalingLatency.Seconds()
}

// TestScaling measures how many captures a second 1, 2 and 4 workers make on
// one durable consumer, with one replica and with three. It holds them to a
// little more than nothing: how much is for docs/scaling.md to say.
func TestScaling(t *testing.T) {
	if !*scaling {
		t.Skip("it takes minutes; run it with -scaling, or make scaling")
	}
	var settings []setting
	for _, replicas := range []int{1, 3} {
		for _, workers := range []int{1, 2, 4} {
			settings = append(settings, setting{replicas, workers})
		}
	}
	rates := map[setting][]float64{}
	for turn := range scalingTurns { // interleaved, since machines have moods
		for _, s := range settings {
			t.Run(fmt.Sprintf("turn %d, %s", turn+1, s), func(t *testing.T) {
				rates[s] = append(rates[s], s.measure(t))
			})
		}
	}
	report(rates, settings)
	for _, replicas := range []int{1, 3} {
		if one, two := median(rates[setting{replicas, 1}]), median(rates[setting{replicas, 2}]); two < 1.3*one {
			t.Errorf("R%d: two workers make %.0f captures a second, one makes %.0f", replicas, two, one)
		}
	}
}

// measure publishes the jobs before the workers start, and takes the time from
// the first tenth of the captures to the last but one tenth: how workers start
// and how a batch ends is not what is asked.
func (s setting) measure(t *testing.T) float64 {
	t.Helper()
	w := newWorld(t, s.broker(t), gatewaytest.Options{Seed: 1, Latency: scalingLatency})
	env := append(w.env, "CAPTURE_NATS_REPLICAS="+strconv.Itoa(s.replicas), "CAPTURE_WORKER_CONCURRENCY="+strconv.Itoa(scalingCalls),
		"CAPTURE_NATS_ACK_WAIT=1m", "CAPTURE_GATEWAY_TIMEOUT=10s", "CAPTURE_RECONCILE_SETTLE=15s")
	first := startWorker(t, "maker", env...) // makes the streams
	first.stop()
	jobs := int(s.expected() * scalingTime.Seconds())
	w.placePlain("s", jobs)
	var running []*process
	for n := range s.workers {
		running = append(running, startWorker(t, fmt.Sprintf("w%d", n+1), env...))
	}
	effects := func() int { return int(w.sim.Stats().Effects) }
	waitFor(t, patience, "a tenth of the captures", func() bool { return effects() >= jobs/10 })
	before, began := effects(), time.Now()
	waitFor(t, patience, "nine tenths of the captures", func() bool { return effects() >= jobs*9/10 })
	after, took := effects(), time.Since(began)
	w.waitDone(patience)
	for _, p := range running {
		p.stop()
	}
	if report := w.audited(); report.Captured != jobs {
		t.Errorf("%d of %d jobs are captured", report.Captured, jobs)
	}
	return float64(after-before) / took.Seconds()
}

func (s setting) broker(t *testing.T) string {
	t.Helper()
	if s.replicas > 1 {
		return startCluster(t).URL()
	}
	one, err := natsserver.Start(natsserver.Options{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(one.Shutdown)
	return one.URL()
}

// report prints a table in Markdown.
func report(rates map[setting][]float64, settings []setting) {
	fmt.Printf("\n%s/%s, %d CPUs, %s; gateway %s, %d calls in flight per worker, %d turns\n\n",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), scalingLatency, scalingCalls, scalingTurns)
	fmt.Println("| replicas | workers | captures/s, median (lowest, highest) | of what the latency allows | to one worker |")
	fmt.Println("| --- | --- | --- | --- | --- |")
	for _, s := range settings {
		r := rates[s]
		if len(r) == 0 {
			continue
		}
		one := cmp.Or(median(rates[setting{s.replicas, 1}]), 1)
		fmt.Printf("| %d | %d | %.0f (%.0f, %.0f) | %.0f %% | %.2f |\n", s.replicas, s.workers,
			median(r), slices.Min(r), slices.Max(r), 100*median(r)/s.expected(), median(r)/one)
	}
	fmt.Println()
}

func median(of []float64) float64 {
	if len(of) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(of))[len(of)/2]
}
