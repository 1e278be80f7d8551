// Command capture-worker captures pre-authorized card payments, each exactly
// once, and proves what happened.
//
// Each command has a file of its own; what the commands do is in the packages
// beside cmd.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// Only net/http writes to the standard logger here: what a gateway sends
	// unasked, word for word, and that may be our signature or key.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks to stop; a second one is not held back.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
