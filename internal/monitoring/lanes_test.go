//go:build unix

package monitoring

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/internal/processtest"
)

const batch = "capture.jobs.batch"

// batchSize is more jobs than the worker completes during the measurement.
var batchSize = flag.Int("batch", 5000, "batch jobs queued before the live ones")

// TestLiveJobsPassABatch is an acceptance test: a batch does not starve live jobs. Live jobs are sent one after the
// other, first alone, then behind thousands of batch jobs, and their durations are
// compared.
func TestLiveJobsPassABatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "lanes", startSim(t, "--latency", "20ms"))
	w.run("CAPTURE_JOBS_SUBJECTS="+shipped+","+batch, "CAPTURE_JOBS_LANES=live="+shipped+",batch="+batch,
		"CAPTURE_JOBS_WEIGHTS=live=4,batch=1", "CAPTURE_WORKER_CONCURRENCY=8", "CAPTURE_GATEWAY_RATE=100")
	const each = 40
	w.liveTimes("warm", 5)
	alone := w.liveTimes("alone", each)
	w.jobs(batch, "batch", *batchSize)
	beside := w.liveTimes("beside", each)
	done := w.captured() - 5 - 2*each
	if done >= *batchSize || done <= 0 {
		t.Fatalf("%d of %d batch jobs were completed meanwhile: the measurement is not valid", done, *batchSize)
	}
	ratio := float64(nth(beside, .9)) / float64(nth(alone, .9))
	t.Logf("a live job alone: p50 %s, p90 %s; beside a batch: p50 %s, p90 %s; ratio of the p90 %.1f; %d batch jobs done",
		nth(alone, .5), nth(alone, .9), nth(beside, .5), nth(beside, .9), ratio, done)
	// Without lanes a live job would wait for the whole batch, most of a minute. The
	// lower bound is for machines on which a job alone is very fast.
	if p := nth(beside, .9); ratio > 20 && p > time.Second {
		t.Errorf("live jobs take %.1f times as long beside a batch", ratio)
	}
}

// liveTimes sends live jobs one after the other and returns the sorted times until
// each was captured.
func (w *world) liveTimes(prefix string, n int) (times []time.Duration) {
	w.t.Helper()
	stream, err := w.js.Stream(w.t.Context(), "CAPTURES")
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range n {
		trade := fmt.Sprintf("%s-%d", prefix, i)
		w.authorize([]job{plainJob(trade)})
		began := time.Now()
		w.send(shipped, plainJob(trade))
		processtest.WaitFor(w.t, patience, trade+" to be captured", func() bool {
			_, err := stream.GetLastMsgForSubject(w.t.Context(), "captures."+trade+".captured")
			return err == nil
		})
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times
}

func nth(sorted []time.Duration, share float64) time.Duration {
	return sorted[int(share*float64(len(sorted)-1))].Round(time.Millisecond)
}
