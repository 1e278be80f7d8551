// Command load keeps a machine busy, so that tests show which of their bounds
// a busy machine breaks: it computes on a number of processors and, if a folder
// is given, writes and syncs a file there without pause. It ends after -for,
// and when its parent process is gone.
//
//	load -cpus 2 -for 10m
//	load -cpus 2 -sync /tmp -for 10m
package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}

// longest is longer than any run of the tests.
const longest = 6 * time.Hour

func run(ctx context.Context, args []string, errs io.Writer) int {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(errs)
	cpus := flags.Int("cpus", 2, "number of processors to keep busy")
	folder := flags.String("sync", "", "folder in which a file is written and synced; empty: none")
	length := flags.Duration("for", 10*time.Minute, "when to end")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return 2
	}
	if *cpus < 0 || *cpus > 64 || *length <= 0 || *length > longest {
		fmt.Fprintf(errs, "-cpus must be from 0 to 64, -for at most %s\n", longest)
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, *length)
	defer cancel()
	runtime.GOMAXPROCS(*cpus + 2)
	var all sync.WaitGroup
	for range *cpus {
		all.Go(func() { burn(ctx) })
	}
	var failed error
	if *folder != "" {
		all.Go(func() { failed = writeAndSync(ctx, *folder) })
	}
	watchParent(ctx, cancel)
	all.Wait()
	if failed != nil {
		fmt.Fprintln(errs, failed)
		return 1
	}
	return 0
}

// watchParent returns when the parent process has ended: the load must end with the
// test run.
func watchParent(ctx context.Context, cancel func()) {
	parent := os.Getppid()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if os.Getppid() != parent {
				cancel()
			}
		}
	}
}

func burn(ctx context.Context) {
	block := make([]byte, 64<<10)
	for ctx.Err() == nil {
		sum := sha256.Sum256(block)
		copy(block, sum[:])
	}
}

// writeAndSync writes and syncs the same megabytes repeatedly.
func writeAndSync(ctx context.Context, folder string) error {
	file, err := os.CreateTemp(folder, "load-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	block := make([]byte, 1<<20)
	for n := int64(0); ctx.Err() == nil; n++ {
		if _, err := file.WriteAt(block, n%64<<20); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
	}
	return nil
}
