// Package cli holds the commands of capture-worker. Each reads its flags and
// the configuration, calls the package that does the work and prints the result.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/printable"
	"github.com/capture-worker/capture-worker/internal/tracing"
)

// app is the state that the commands share.
type app struct {
	configFile string
	started    bool // the arguments were valid, and a command has started
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
	// What is printed comes from other programs too: no text of theirs may control
	// the terminal.
	stdout, stderr = printable.NewWriter(stdout), printable.NewWriter(stderr)
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
pre-authorization exactly once at the payment gateway, and records what happened
in a ledger that can be read and audited.

Exit codes: 0 good; 1 it failed; 2 wrong usage or configuration; 3 it worked
and found differences, bad rows or refused trades.`,
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
		newWithdrawCmd(a),
		newDLQCmd(a),
		newPublishCmd(a),
		newJobsCmd(a),
		newRecordsCmd(a),
		newConsoleCmd(a),
		newExportCmd(a),
		newActsCmd(a),
		newArchiveCmd(a),
		newConfigCmd(a),
		newVersionCmd(a),
	)
	addExitCodes(root)
	return root
}

// chooseOne is the RunE of a command that only has subcommands.
func chooseOne(cmd *cobra.Command, _ []string) error {
	_ = cmd.Help()
	return usageError("%s needs one of the commands above", cmd.CommandPath())
}

// do wraps a RunE: from its start on an error is no usage error.
func (a *app) do(f func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		return f(cmd, args)
	}
}

// load reads the configuration and validates it, with what the command needs.
func (a *app) load(cmd *cobra.Command, needs ...config.Need) (config.Config, error) {
	c, err := config.Load(config.Options{File: a.configFile, Flags: cmd.Flags()})
	if err != nil {
		return config.Config{}, err
	}
	return c, c.Validate(needs...)
}

// newLogger returns a logger to w as configured.
func newLogger(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	// Validate accepts only names that slog knows.
	_ = level.UnmarshalText([]byte(c.Level))
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: formatDuration}
	var handler slog.Handler = slog.NewTextHandler(w, o)
	if c.Format == "json" {
		handler = slog.NewJSONHandler(w, o)
	}
	return slog.New(tracing.LogHandler(handler))
}

// formatDuration writes a duration with its unit ("1.5s"): slog's JSON handler
// would write a bare number of nanoseconds.
func formatDuration(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// newToolLogger returns the logger of a command other than run: it logs warnings
// and errors only, unless log.level was set.
func newToolLogger(c config.Config, w io.Writer) *slog.Logger {
	if c.Origin("log.level").From == config.FromDefault {
		c.Log.Level = "warn"
	}
	return newLogger(c.Log, w)
}

// The exit codes of every command.
const (
	exitGood   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or configuration
	exitFound  = 3 // it worked, and found differences or bad rows
)

// exitError is an error that asks for an exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usageError returns an error of wrong usage.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// foundError returns the error of a command that worked and found something.
func foundError(format string, args ...any) error {
	return &exitError{exitFound, fmt.Errorf(format, args...)}
}

// exitWords begins the exit codes in the help of every command.
const exitWords = "Exit codes: 0 "

// addExitCodes adds the exit codes to the help of commands that do not list their
// own.
func addExitCodes(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		addExitCodes(sub)
	}
	if cmd.HasSubCommands() || strings.Contains(cmd.Long, exitWords) {
		return
	}
	if cmd.Long == "" {
		cmd.Long = cmd.Short + "."
	}
	cmd.Long += "\n\n" + exitWords + "good; 1 it failed; 2 wrong usage or configuration."
}

func (a *app) exitCode(err error) int {
	if err == nil {
		return exitGood
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[config.Problems](err); ok || !a.started {
		return exitUsage
	}
	return exitFailed
}
