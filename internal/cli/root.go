// Package cli holds the commands of capture-worker. Each reads its flags and
// the configuration, calls the package that does the work and prints the result.
package cli

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/tracing"
)

// app is what the commands share.
type app struct {
	configFile string
	started    bool // the arguments were right, and a command began its work
}

// Main runs the command line of this process and returns its exit code.
// version is the version that the linker set, "" if none.
func Main(version string) int {
	linkedVersion = version
	// net/http logs unsolicited bytes of a server verbatim to the standard
	// logger; from the gateway these may contain our signature or key.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks to stop, the second one ends the process.
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// run runs one command line and returns its exit code. It ends early when ctx
// does.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{}
	root := newRootCmd(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	code := a.exitCode(err)
	if err != nil {
		fmt.Fprintf(stderr, "capture-worker: %v\n", err)
	}
	if code == exitUsage && !a.started {
		fmt.Fprintf(stderr, "Run '%s --help' for how to use it.\n", cmd.CommandPath())
	}
	return code
}

func newRootCmd(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "capture-worker",
		Short: "Capture pre-authorized payments, each exactly once",
		Long: `capture-worker takes card-capture jobs from NATS JetStream, captures each
pre-authorization exactly once at the payment gateway, and writes down what
happened in a ledger that can be read and audited.

Exit codes: 0 good; 1 it failed; 2 wrong usage or configuration; 3 it worked
and found differences, bad rows or trades that were refused.`,
		Example:       "  capture-worker config\n  capture-worker publish --help",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringVar(&a.configFile, "config", "", "configuration `file` (YAML); or "+config.FileEnv)
	root.AddCommand(
		newDemoCmd(a),
		newGatewaySimCmd(a),
		newRunCmd(a),
		newCheckCmd(a),
		newShowCmd(a),
		newLaneCmd(a),
		newResumeCmd(a),
		newReconcileCmd(a),
		newParkedCmd(a),
		newRetryCmd(a),
		newDLQCmd(a),
		newPublishCmd(a),
		newJobsCmd(a),
		newRecordsCmd(a),
		newConfigCmd(a),
		newVersionCmd(a),
	)
	tellExitCodes(root)
	return root
}

// chooseOne is what a command does that only has others below it.
func chooseOne(cmd *cobra.Command, _ []string) error {
	_ = cmd.Help()
	return usageError("%s needs to know what to do: one of the commands above", cmd.CommandPath())
}

// do marks the point from which an error is not about the usage any more.
func (a *app) do(f func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		return f(cmd, args)
	}
}

// load reads the configuration and holds it to its rules and to what the
// command needs.
func (a *app) load(cmd *cobra.Command, needs ...config.Need) (config.Config, error) {
	c, err := config.Load(config.Options{File: a.configFile, Flags: cmd.Flags()})
	if err != nil {
		return config.Config{}, err
	}
	return c, c.Validate(needs...)
}

// newLogger logs to w as the configuration says.
func newLogger(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	// Validate has let through only names that slog knows.
	_ = level.UnmarshalText([]byte(c.Level))
	o := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(w, o)
	if c.Format == "json" {
		handler = slog.NewJSONHandler(w, o)
	}
	return slog.New(tracing.LogHandler(handler))
}

// newToolLogger is the logger of a command that a person or a script waits
// for: it tells of trouble only, unless log.level was set.
func newToolLogger(c config.Config, w io.Writer) *slog.Logger {
	if c.Origin("log.level").From == config.FromDefault {
		c.Log.Level = "warn"
	}
	return newLogger(c.Log, w)
}
