package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/demo"
)

// demoFlags are the flags of demo.
type demoFlags struct {
	demo.Options
	output  string
	verbose bool
	console bool
	listen  string
}

func newDemoCmd(a *app) *cobra.Command {
	o := demoFlags{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run jobs against a simulated gateway with faults, and audit the result",
		Long: `Runs a JetStream server, a simulated gateway and the worker in one process on
loopback, publishes "shipped" events, and captures them while the
gateway injects faults. At the end every trade's ledger is checked against the
rules and against the state of the simulator. Times are scaled down, so that
settling takes seconds instead of minutes.

With --console it stays: the console shows what happened, with a login for each
role, until the program is interrupted.

Exit codes: 0 all agrees; 1 it failed, or a single trade disagrees; 2 wrong usage
or configuration.`,
		Example: "  capture-worker demo\n  capture-worker demo --faults hostile --jobs 300 --seed 7\n  capture-worker demo --faults calm -o json\n  capture-worker demo --console",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().IntVar(&o.Jobs, "jobs", 200, "how many shipped events")
	cmd.Flags().StringVar(&o.Faults, "faults", "rough", "`preset` of the gateway's faults: calm, rough or hostile")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 0, "seed of orders and faults; 0 chooses one and prints it")
	cmd.Flags().DurationVar(&o.Latency, "latency", 10*time.Millisecond, "latency of every gateway answer")
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "`format`: text or json")
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "log what the worker does")
	cmd.Flags().BoolVar(&o.console, "console", false, "stay, and serve the console with a login for each role")
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:9466", "`address` of the console, on loopback")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return err
		}
		o.Version, o.Log = readBuild().Version, slog.New(slog.DiscardHandler)
		if o.verbose {
			o.Log = newLogger(config.Log{Level: "debug"}, cmd.ErrOrStderr())
		}
		o.Progress = func(jobs int) (step, finish func()) { return newProgress(cmd.ErrOrStderr(), jobs, "capturing") }
		printed := false
		if o.console {
			o.Stay = func(ctx context.Context, result demo.Result, c config.Config) error {
				printed = true
				if err := printDemo(cmd.OutOrStdout(), result, o.output); err != nil {
					return err
				}
				return demoConsole(ctx, cmd.OutOrStdout(), c, o.listen, o.Log)
			}
		}
		result, err := demo.Run(cmd.Context(), o.Options)
		if err == nil && !printed {
			err = printDemo(cmd.OutOrStdout(), result, o.output)
		}
		if err != nil {
			return err
		}
		if !result.Clean {
			return fmt.Errorf("the audit found %d violations", result.Audit.ViolationCount)
		}
		return nil
	})
	return cmd
}

func (o *demoFlags) check() error {
	if o.Seed == 0 {
		// Short enough to type.
		o.Seed = rand.Uint64N(1_000_000) + 1
	}
	if _, err := gatewaytest.Preset(o.Faults); err != nil {
		return usageError("--faults is %q: must be calm, rough or hostile", o.Faults)
	}
	if o.Jobs < 1 || o.Jobs > 100_000 {
		return usageError("--jobs is %d: must be from 1 to 100000", o.Jobs)
	}
	if o.Latency < 0 || o.Latency > time.Second {
		return usageError("--latency is %s: must be from 0 to 1s, the scaled-down timeout", o.Latency)
	}
	if o.output != "text" && o.output != "json" {
		return usageError("--output is %q: must be text or json", o.output)
	}
	if host, _, err := net.SplitHostPort(o.listen); o.console && (err != nil || host != "localhost" && !net.ParseIP(host).IsLoopback()) {
		return usageError("--listen is %q: must be an address on loopback, such as 127.0.0.1:9466", o.listen)
	}
	return nil
}

func printDemo(w io.Writer, r demo.Result, format string) error {
	if format == "json" {
		return writeJSON(w, r)
	}
	fmt.Fprintf(w, "capture-worker demo: %s, faults %s, seed %d, %s\n\n", counted(r.Jobs, "job"), r.Faults, r.Seed, r.Took.Round(10*time.Millisecond))
	if err := r.Audit.WriteTable(w); err != nil {
		return err
	}
	g := r.Gateway
	fmt.Fprintf(w, "\nThe gateway received %s and %s; %d of them had a fault; %s took effect.\n",
		counted(g.Captures, "capture call"), counted(g.Queries, "query"), g.Faults, counted(g.Effects, "capture"))
	fmt.Fprintf(w, "Dead-lettered, because their trade already had another outcome: %s.\n", counted(r.DeadLetters, "job"))
	_, err := fmt.Fprint(w, demoNext)
	return err
}

const demoNext = `
What to try next:
  capture-worker demo --console                     stay, and look at it in a browser
  capture-worker demo --faults hostile --seed 7     more faults, and a fixed seed
  capture-worker gateway-sim --help                 the simulated gateway on its own
  capture-worker run --help                         the worker against your NATS and gateway
`
