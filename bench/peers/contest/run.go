package contest

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Main runs a candidate until SIGTERM or an interrupt ends its context, then
// prints what the summary holds as one line of JSON on standard output, and
// ends the program: 0 where work returned no error, else 1. Work must return
// soon after its context ended.
func Main(s *Summary, note string, work func(context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	err := work(ctx)
	if s.Jobs() > 0 || err == nil {
		if werr := s.Write(os.Stdout, note); err == nil {
			err = werr
		}
	}
	if err != nil {
		fail(1, err)
	}
	os.Exit(0)
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(code)
}
