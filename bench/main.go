// Command bench measures capture-worker beside the limit of the wire, beside a
// naive worker and beside what people would use instead.
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

	"github.com/capture-worker/capture-worker/bench/internal/arena"
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
	began := time.Now()
	machine := procfs.ReadMachine()
	dir, err := os.MkdirTemp("", "capture-bench-")
	if err != nil {
		return err
	}
	o.arena.Dir, o.arena.Log = dir, log
	if o.keep {
		fmt.Fprintln(log, "stores and logs are kept in", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	a, err := arena.Open(ctx, o.arena)
	if err != nil {
		return err
	}
	measured := result.Run{
		Began: began, Command: "go run . " + strings.Join(args, " "), Machine: machine,
		Sync: o.arena.Sync, LeftOut: a.LeftOut,
	}
	o.matrix.Each = func(t result.Turn) { progress(log, t) }
	measured.Turns, err = a.Measure(ctx, o.matrix)
	measured.Took = time.Since(began)
	measured.WriteTables(out)
	return errors.Join(err, a.Close(), o.save(measured))
}

// progress tells of a turn as soon as it is over.
func progress(log io.Writer, t result.Turn) {
	if t.Problem != "" {
		fmt.Fprintf(log, "%-10s turn %d  %-20s %s\n", t.Cell, t.Turn, t.Contestant, t.Problem)
		return
	}
	fmt.Fprintf(log, "%-10s turn %d  %-20s %7.0f jobs/s  p50 %6.1f  p99 %6.1f ms  CPU %4.0f+%.0f+%.0f µs/job  RSS %3d MiB  (%d jobs)\n",
		t.Cell, t.Turn, t.Contestant, t.Rate, t.P50, t.P99, t.WorkerCPU, t.BrokerCPU, t.GatewayCPU, t.PeakRSS>>20, t.Jobs)
}

func (o options) save(r result.Run) error {
	if o.out == "" {
		return nil
	}
	return result.Write(filepath.Clean(o.out), r)
}
