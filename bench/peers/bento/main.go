// Bento: the benchmark's jobs with Bento 1.10, the maintained fork of Benthos.
//
// It is built as Bento's users build their own: the program imports the
// components it needs, and what it does is in a configuration, which -print
// shows.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"

	_ "github.com/warpstreamlabs/bento/public/components/io"
	_ "github.com/warpstreamlabs/bento/public/components/nats"
	_ "github.com/warpstreamlabs/bento/public/components/pure"
	"github.com/warpstreamlabs/bento/public/service"

	"github.com/capture-worker/capture-worker/bench/peers/contest"
)

func main() {
	inputs := flag.Int("inputs", 16, "copies of the input: each pulls one message at a time")
	stockPool := flag.Bool("stock-pool", false, "keep net/http's default of two idle connections to the gateway, as the released program does")
	show := flag.Bool("print", false, "print the configuration and end")
	o := contest.Parse()
	config, err := configure(o, *inputs)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if *show {
		_, _ = io.WriteString(os.Stdout, config)
		return
	}
	if !*stockPool {
		keepConnections(o.Concurrency)
	}
	s := contest.NewSummary(o)
	contest.Main(s, "from the start of the pipeline until the output had it", func(ctx context.Context) error {
		return run(ctx, config, s)
	})
}

// keepConnections sizes the pool of the default transport, which Bento's http
// processor uses: it has no setting for it.
func keepConnections(n int) {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t.MaxIdleConns, t.MaxIdleConnsPerHost = n, n
	}
}

func run(ctx context.Context, config string, s *contest.Summary) error {
	env := service.NewEnvironment()
	if err := registerTally(env, s); err != nil {
		return fmt.Errorf("registering the output: %w", err)
	}
	builder := env.NewStreamBuilder()
	builder.SetLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err := builder.SetYAML(config); err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	stream, err := builder.Build()
	if err != nil {
		return fmt.Errorf("building the stream: %w", err)
	}
	// What is in work when ctx ends is not acked, and delivered again.
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(context.WithoutCancel(ctx)) }()
	select {
	case err := <-ended:
		return fmt.Errorf("the stream ended: %w", err)
	case <-ctx.Done():
		return nil
	}
}
