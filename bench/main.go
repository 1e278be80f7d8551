// Command bench measures capture-worker beside the limit of the wire, beside a
// naive worker and beside common alternatives.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/capture-worker/capture-worker/bench/internal/harness"
	"github.com/capture-worker/capture-worker/bench/internal/procfs"
	"github.com/capture-worker/capture-worker/bench/internal/result"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	for _, file := range o.reports {
		if err := report(file, o.docs); err != nil {
			return err
		}
	}
	if len(o.reports) > 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "capture-bench-")
	if err != nil {
		return err
	}
	o.harness.Dir, o.harness.Log = dir, log
	if o.keep {
		fmt.Fprintln(log, "stores and logs are kept in", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	o.matrix.Each = func(t result.Round) { progress(log, t) }
	measured, err := measure(ctx, o)
	measured.Command = strings.Join(append([]string{"go run ."}, args...), " ")
	measured.WriteReport(out)
	return errors.Join(err, o.save(measured))
}

// measure runs what the options ask for. What was measured before an error is
// returned beside it.
func measure(ctx context.Context, o options) (r result.Run, err error) {
	r = result.Run{Began: time.Now(), Machine: procfs.ReadMachine(), Sync: o.harness.Sync, Scenario: o.scenario}
	a, err := harness.Open(ctx, o.harness)
	if err != nil {
		return r, err
	}
	r.LeftOut, r.Versions = a.LeftOut, a.Versions()
	began := time.Now()
	if o.matrixless() {
		r.Tables, err = a.Run(ctx, o.scenario, o.scale)
	} else {
		r.Rounds, err = a.Measure(ctx, o.matrix)
	}
	r.Took = time.Since(began)
	return r, errors.Join(err, a.Close())
}

// progress prints a round as soon as it is over.
func progress(log io.Writer, t result.Round) {
	if t.Problem != "" {
		fmt.Fprintf(log, "%-10s round %d  %-20s %s\n", t.Cell, t.Round, t.Candidate, t.Problem)
		return
	}
	fmt.Fprintf(log, "%-10s round %d  %-20s %7.0f jobs/s  p50 %6.1f  p99 %6.1f ms  CPU %4.0f+%.0f+%.0f µs/job  RSS %3d MiB  (%d jobs, others %2.0f %%)\n",
		t.Cell, t.Round, t.Candidate, t.Rate, t.P50, t.P99, t.WorkerCPU, t.BrokerCPU, t.GatewayCPU, t.PeakRSS>>20, t.Jobs, 100*t.Others)
}

func (o options) save(r result.Run) error {
	if o.out == "" {
		return nil
	}
	return result.Write(filepath.Clean(o.out), r)
}
