package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

// demoBound is far above what a demo takes: past it something is stuck.
const demoBound = 10 * time.Minute

// demoOptions are the knobs of a demo.
type demoOptions struct {
	jobs    int
	faults  string
	seed    uint64
	latency time.Duration
	output  string
	verbose bool
}

func newDemoCmd(a *app) *cobra.Command {
	o := demoOptions{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch real jobs go through a gateway that misbehaves, and audit the end",
		Long: `Runs a JetStream server, a simulated gateway and the worker in one process on
loopback, publishes "shipped" events, and lets them be captured while the
gateway misbehaves. At the end every trade's ledger is checked against the rules
and against what the simulator knows to be true. Times are scaled down, so that
settling takes seconds instead of minutes.

Exit codes: 0 all agrees; 1 it failed, or a single trade disagrees; 2 wrong usage
or configuration.`,
		Example: "  capture-worker demo\n  capture-worker demo --faults hostile --jobs 300 --seed 7\n  capture-worker demo --faults calm -o json",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().IntVar(&o.jobs, "jobs", 200, "how many shipped events")
	cmd.Flags().StringVar(&o.faults, "faults", "rough", "how the gateway behaves: calm, rough or hostile")
	cmd.Flags().Uint64Var(&o.seed, "seed", 0, "of orders and faults; 0 draws one and prints it")
	cmd.Flags().DurationVar(&o.latency, "latency", 10*time.Millisecond, "of every gateway answer")
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "`format`: text or json")
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "log what the worker does")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return err
		}
		result, err := runDemo(cmd.Context(), o, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		if err := result.print(cmd.OutOrStdout(), o.output); err != nil {
			return err
		}
		if !result.Clean {
			return fmt.Errorf("the audit found %d disagreements", result.Audit.ViolationCount)
		}
		return nil
	})
	return cmd
}

func (o *demoOptions) check() error {
	if o.seed == 0 {
		// Short enough to be typed again.
		o.seed = rand.Uint64N(1_000_000) + 1
	}
	if _, err := gatewaytest.Preset(o.faults); err != nil {
		return usageError("--faults is %q: must be calm, rough or hostile", o.faults)
	}
	if o.jobs < 1 || o.jobs > 100_000 {
		return usageError("--jobs is %d: must be from 1 to 100000", o.jobs)
	}
	if o.latency < 0 || o.latency > time.Second {
		return usageError("--latency is %s: must be from 0 to 1s, the scaled-down timeout", o.latency)
	}
	if o.output != "text" && o.output != "json" {
		return usageError("--output is %q: must be text or json", o.output)
	}
	return nil
}

// demoResult is what a demo ends with.
type demoResult struct {
	Faults      string        `json:"faults"`
	Seed        uint64        `json:"seed"`
	Jobs        int           `json:"jobs"`
	DeadLetters int           `json:"dead_letters"`
	Took        time.Duration `json:"took_ns"`
	// GatewayCalls and what follows is what the simulator counted.
	Gateway gatewaytest.Stats `json:"gateway"`
	Audit   audit.Report      `json:"audit"`
	Clean   bool              `json:"clean"`
}

// runDemo makes the world, lets the worker work until every job has come to
// its end, and audits.
func runDemo(ctx context.Context, o demoOptions, stderr io.Writer) (demoResult, error) {
	// It bounds each question to JetStream too: a busy machine may take long to
	// answer one.
	ctx, cancel := context.WithTimeoutCause(ctx, demoBound, fmt.Errorf("the demo was not over after %s", demoBound))
	defer cancel()
	log := slog.New(slog.DiscardHandler)
	if o.verbose {
		log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	world, err := newDemoWorld(ctx, o, log)
	if err != nil {
		return demoResult{}, err
	}
	defer world.close()
	begin := time.Now()
	orders := drawOrders(o.jobs, o.seed, begin)
	if err := world.publish(ctx, orders); err != nil {
		return demoResult{}, err
	}
	if err := world.work(ctx, orders, stderr); err != nil {
		return demoResult{}, err
	}
	result := demoResult{
		Faults: o.faults, Seed: o.seed, Jobs: messages(orders), Took: time.Since(begin), Gateway: world.sim.Stats(),
	}
	if result.DeadLetters, err = world.deadLetters(ctx); err != nil {
		return demoResult{}, err
	}
	result.Audit, err = world.audit(ctx, orders)
	result.Clean = result.Audit.Clean()
	return result, err
}

func (r demoResult) print(w io.Writer, format string) error {
	if format == "json" {
		return writeJSON(w, r)
	}
	fmt.Fprintf(w, "capture-worker demo: %s, faults %s, seed %d, %s\n\n", counted(r.Jobs, "job"), r.Faults, r.Seed, r.Took.Round(10*time.Millisecond))
	if err := r.Audit.WriteTable(w); err != nil {
		return err
	}
	g := r.Gateway
	fmt.Fprintf(w, "\nThe gateway saw %s and %s; %d of them met a fault; %s took effect.\n",
		counted(g.Captures, "capture call"), counted(g.Queries, "query"), g.Faults, counted(g.Effects, "capture"))
	fmt.Fprintf(w, "Dead-lettered, since their trade was already settled otherwise: %s.\n", counted(r.DeadLetters, "job"))
	_, err := fmt.Fprint(w, demoNext)
	return err
}

const demoNext = `
What to try next:
  capture-worker demo --faults hostile --seed 7     a worse day, and one that can be repeated
  capture-worker gateway-sim --help                 the misbehaving gateway on its own
  capture-worker run --help                         the worker against a NATS and a gateway of yours
`
