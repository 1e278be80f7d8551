package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
)

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

// usageError says that the command was not asked rightly.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// foundError says that the work is done, and that something was found.
func foundError(format string, args ...any) error {
	return &exitError{exitFound, fmt.Errorf(format, args...)}
}

// exitWords begins what the help of every command says of its exit codes.
const exitWords = "Exit codes: 0 "

// tellExitCodes adds the exit codes to the help of the commands that have
// nothing of their own to say of them.
func tellExitCodes(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		tellExitCodes(sub)
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
