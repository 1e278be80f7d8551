package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/capture-worker/capture-worker/bench/internal/harness"
	"github.com/capture-worker/capture-worker/bench/internal/result"
)

type options struct {
	harness  harness.Config
	matrix   harness.Matrix
	scenario string
	scale    harness.ScenarioOptions
	out      string
	keep     bool

	reports []string // files to write into the documentation, instead of measuring
	docs    string
}

// durable is the matrix on a broker that syncs to the disk.
const durable = "durable"

// parse reads the command line.
func parse(args []string, log io.Writer) (o options, err error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(log)
	var cells, candidates string
	fs.StringVar(&cells, "cells", "0ms/64,20ms/64,20ms/256,20ms/1024,100ms/1024", "gateway `latency/concurrency`,… of the cells to measure")
	fs.StringVar(&candidates, "candidates", "ceiling,naive,capture-worker", "all, or some of "+strings.Join(harness.Names(), ","))
	o.measurementFlags(fs)
	o.workerFlags(fs)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q: every option begins with a dash", fs.Arg(0))
	}
	chosen := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { chosen[f.Name] = true })
	if o.scenario == durable {
		o.harness.Sync = true
		if !chosen["cells"] {
			cells = "20ms/256"
		}
	}
	if o.matrixless() {
		candidates = harness.CaptureWorker
	}
	return o, o.complete(cells, candidates)
}

// measurementFlags adds the flags for what is measured and where results go.
func (o *options) measurementFlags(fs *flag.FlagSet) {
	fs.IntVar(&o.matrix.Rounds, "rounds", 5, "rounds of each candidate in each cell")
	fs.IntVar(&o.matrix.Jobs, "jobs", 0, "jobs of a round; 0: as many as take -seconds")
	fs.Float64Var(&o.matrix.Seconds, "seconds", 3, "duration of a round, if -jobs is 0")
	fs.StringVar(&o.scenario, "scenario", "", "measure a scenario instead of the cells:\n"+scenarioHelp())
	fs.Float64Var(&o.scale.Scale, "scale", 1, "factor for the jobs of a scenario; below 1 for a trial")
	fs.Func("sizes", "`trades` of the ledgers of the scenario reads, such as 10000,100000", func(v string) error {
		for _, text := range strings.Split(v, ",") {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return fmt.Errorf("%q is not a number of trades", text)
			}
			o.scale.Sizes = append(o.scale.Sizes, n)
		}
		return nil
	})
	fs.Func("report", "write the raw results in `FILE` into the documentation, and measure nothing; may be repeated", func(v string) error {
		o.reports = append(o.reports, v)
		return nil
	})
	fs.StringVar(&o.docs, "docs", "../docs", "`folder` of the documentation, for -report")
	fs.StringVar(&o.out, "out", "", "`FILE` for the raw results, as JSON")
}

// workerFlags adds the flags for the processes that take part.
func (o *options) workerFlags(fs *flag.FlagSet) {
	fs.BoolVar(&o.harness.Sync, "sync", false, "nats-server syncs to the disk before it confirms (sync_interval: always)")
	fs.BoolVar(&o.keep, "keep", false, "keep stores and logs")
	fs.StringVar(&o.harness.Root, "root", "..", "`folder` of capture-worker's sources")
	fs.StringVar(&o.harness.Profiles, "profiles", "", "`folder` for CPU profiles of capture-worker; they cost time, so do not count that run")
	fs.Func("env", "setting of capture-worker, as `CAPTURE_X=value`; may be repeated", func(v string) error {
		if !strings.Contains(v, "=") {
			return errors.New("must be NAME=value")
		}
		o.harness.WorkerEnv = append(o.harness.WorkerEnv, v)
		return nil
	})
	o.harness.Also = map[string]string{}
	fs.Func("also", "another capture-worker program that takes part, as `label=path`; may be repeated", func(v string) error {
		label, path, ok := strings.Cut(v, "=")
		if !ok || label == "" {
			return errors.New("must be label=path")
		}
		path, err := filepath.Abs(path)
		o.harness.Also[label] = path
		return err
	})
}

// matrixless reports whether something else than cells is measured.
func (o *options) matrixless() bool { return o.scenario != "" && o.scenario != durable }

func (o *options) checkScenario() error {
	if !o.matrixless() || slices.ContainsFunc(harness.Scenarios(), func(s harness.Scenario) bool { return s.Name == o.scenario }) {
		return nil
	}
	return fmt.Errorf("no scenario is named %q; there are:\n%s", o.scenario, scenarioHelp())
}

func scenarioHelp() string {
	var b strings.Builder
	for _, s := range harness.Scenarios() {
		fmt.Fprintf(&b, "%s: %s\n", s.Name, s.About)
	}
	return b.String() + durable + ": cells (default 20ms/256) with -sync"
}

func (o *options) complete(cells, candidates string) (err error) {
	for _, text := range strings.Split(cells, ",") {
		cell, err := result.ParseCell(strings.TrimSpace(text))
		if err != nil {
			return err
		}
		o.matrix.Cells = append(o.matrix.Cells, cell)
	}
	for _, name := range strings.Split(candidates, ",") {
		o.harness.Candidates = append(o.harness.Candidates, strings.TrimSpace(name))
	}
	if o.matrix.Rounds < 1 || o.matrix.Jobs < 0 || o.matrix.Seconds <= 0 {
		return errors.New("-rounds and -seconds must be above zero, -jobs not below")
	}
	if o.scale.Scale <= 0 {
		return errors.New("-scale must be above zero")
	}
	o.scale.Rounds = o.matrix.Rounds
	if err := errors.Join(o.harness.Validate(), o.checkScenario()); err != nil {
		return err
	}
	if o.harness.Root, err = filepath.Abs(o.harness.Root); err != nil {
		return err
	}
	if o.harness.Profiles != "" {
		if o.harness.Profiles, err = filepath.Abs(o.harness.Profiles); err != nil {
			return err
		}
		o.harness.WorkerEnv = append(o.harness.WorkerEnv, "CAPTURE_ADMIN_PPROF=true")
		return os.MkdirAll(o.harness.Profiles, 0o755)
	}
	return nil
}
