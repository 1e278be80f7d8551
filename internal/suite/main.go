// Command suite runs `go test` and prints a readable report: a line
// for each package, all that a failed test wrote, and at the end, once, which
// tests were left out because a program is not installed.
//
//	suite -race ./...                    as go test -race ./...
//	suite -times 5 -race ./...           five times; what failed, and how often
//	suite -dir bench -timeout 10m ./...  in another module
//
// Exit codes: 0 all passed, 1 something failed, 2 wrong usage.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// stopSlack is the time for `go test` to end its tests after an interrupt.
const stopSlack = 10 * time.Second

// options are the flags of suite; further arguments are for `go test`.
type options struct {
	times int
	dir   string
	args  []string
}

func parse(args []string) (options, error) {
	o := options{times: 1}
	for len(args) > 1 && (args[0] == "-times" || args[0] == "-dir") {
		if args[0] == "-dir" {
			o.dir = args[1]
		} else {
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 1 || n > 1000 {
				return o, fmt.Errorf("-times is %q: must be from 1 to 1000", args[1])
			}
			o.times = n
		}
		args = args[2:]
	}
	if len(args) == 0 {
		return o, fmt.Errorf("usage: suite [-times N] [-dir FOLDER] arguments of go test")
	}
	o.args = args
	return o, nil
}

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	o, err := parse(args)
	if err != nil {
		fmt.Fprintln(errs, err)
		return 2
	}
	all := newTally(out)
	for turn := range o.times {
		if ctx.Err() != nil {
			break
		}
		if o.times > 1 {
			fmt.Fprintf(out, "--- run %d of %d\n", turn+1, o.times)
		}
		all.begin()
		if err := goTest(ctx, o, all, errs); err != nil {
			all.bad = true
			fmt.Fprintf(errs, "go test: %v\n", err)
		}
	}
	all.conclude(o.times)
	if all.bad {
		return 1
	}
	return 0
}

func goTest(ctx context.Context, o options, to *tally, errs io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, o.args...)...)
	cmd.Dir, cmd.Stderr = o.dir, errs
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopSlack
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	to.read(pipe)
	return cmd.Wait()
}
