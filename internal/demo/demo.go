// Package demo runs real jobs through a worker and a simulated gateway on
// loopback, and audits the result.
package demo

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

// maxDuration is far above what a demo takes: if it is exceeded, something is
// stuck.
const maxDuration = 10 * time.Minute

// Options are the parameters of a demo.
type Options struct {
	Jobs    int    // orders; some have two jobs
	Faults  string // a preset of gatewaytest
	Seed    uint64
	Latency time.Duration // latency of every gateway answer
	Version string
	Log     *slog.Logger
	// Progress is called with the number of jobs before the worker starts. step is
	// called for each job that is done, finish at the end.
	Progress func(jobs int) (step, finish func())
	// Stay, if set, is called with the result and the configuration of what still
	// runs: the broker, the gateway, a worker and the records. The demo ends when it
	// returns.
	Stay func(context.Context, Result, config.Config) error
}

// Result is the result of a demo.
type Result struct {
	Faults      string        `json:"faults"`
	Seed        uint64        `json:"seed"`
	Jobs        int           `json:"jobs"`
	DeadLetters int           `json:"dead_letters"`
	Took        time.Duration `json:"took_ns"`
	// Gateway holds the simulator's counts.
	Gateway gatewaytest.Stats `json:"gateway"`
	Audit   audit.Report      `json:"audit"`
	Clean   bool              `json:"clean"`
}

// Run runs a demo until every job is done, and audits it.
func Run(ctx context.Context, o Options) (Result, error) {
	whole := ctx
	// The deadline also limits each request to JetStream, which may take long on a
	// busy machine.
	ctx, cancel := context.WithTimeoutCause(ctx, maxDuration, fmt.Errorf("the demo was not done after %s", maxDuration))
	defer cancel()
	w, err := newWorld(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	begin := time.Now()
	orders := drawOrders(o.Jobs, o.Seed, begin)
	if err := w.publish(ctx, orders); err != nil {
		return Result{}, err
	}
	if err := w.work(ctx, countJobs(orders), o.Progress); err != nil {
		return Result{}, err
	}
	result := Result{Faults: o.Faults, Seed: o.Seed, Jobs: countJobs(orders), Took: time.Since(begin), Gateway: w.sim.Stats()}
	if result.DeadLetters, err = w.deadLetters(ctx); err != nil {
		return Result{}, err
	}
	result.Audit, err = w.audit(ctx, orders)
	result.Clean = result.Audit.Clean()
	if err == nil && o.Stay != nil {
		err = w.stay(whole, o, result)
	}
	return result, err
}
