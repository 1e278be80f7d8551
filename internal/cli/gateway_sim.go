package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/service"
)

// The default credentials of the simulator.
const (
	simUser   = "016683"
	simSecret = "example-secret-key"
)

type simFlags struct {
	listen string
	faults string
	scale  float64
	// queryLag is not scaled.
	queryLag time.Duration
	o        gatewaytest.Options
	secret   string
}

func newGatewaySimCmd(a *app) *cobra.Command {
	f := simFlags{}
	cmd := &cobra.Command{
		Use:   "gateway-sim",
		Short: "Run a simulated gateway with faults",
		Long: `Runs a simulated payment gateway on its own, for trying the worker and for tests
of other programs. It keeps trades in memory, captures each at most once, and
injects faults into calls.

  POST /Payments               the gateway: v3.Capture, v3.QueryOrder
  POST /_sim/trades            authorize trades: one object or an array
  GET  /_sim/trades[/ID]       the truth: what took effect, and every call
  GET, POST /_sim/faults       the knobs, an outage ("down": reset, hang, 502), the
                               latency of every answer ("latency": "20ms"), how old
                               a query's view is ("query_lag": "15m") and a code for
                               every capture call ("refuse": "-3001")
  POST /_sim/script/ID         faults of the next calls of a trade: a step or an array
  POST /_sim/secret            rotate the account's key: {"secret":"…"}
  GET  /_sim/stats             counts of calls and of captures that took effect
  POST /_sim/reset             remove all trades and counts; the faults stay

A step is the name of a fault ("hang_after"), or an object: "on" ("capture" or
"query") with "fault", "code" (answered without effect) or "state" (what a query
shows in place of the truth).

Faults, each with a probability in POST /_sim/faults:
` + knobHelp(),
		Example: `  capture-worker gateway-sim --listen 127.0.0.1:8700 --faults hostile
  curl -d '{"trade_id":"T1","amount":"30.00","currency":"EUR"}' http://127.0.0.1:8700/_sim/trades
  curl -d '["hang_after",{"on":"query","state":"authorized"}]' http://127.0.0.1:8700/_sim/script/T1
  curl http://127.0.0.1:8700/_sim/trades/T1`,
		Args: cobra.NoArgs,
	}
	fs := cmd.Flags()
	fs.StringVar(&f.listen, "listen", "127.0.0.1:8700", "`address` to listen on; port 0 picks a free one")
	fs.StringVar(&f.faults, "faults", "calm", "preset: "+strings.Join(gatewaytest.Presets(), ", "))
	fs.Uint64Var(&f.o.Seed, "seed", 1, "seed of the faults")
	fs.StringVar(&f.o.User, "user", simUser, "the user of the account")
	fs.StringVar(&f.secret, "secret", simSecret, "the key of the account; not a real one")
	fs.DurationVar(&f.o.Latency, "latency", 20*time.Millisecond, "latency of every answer")
	fs.Float64Var(&f.scale, "time-scale", 1, "factor for the durations of faults: 0.02 turns minutes into seconds")
	fs.BoolVar(&f.o.AutoCreate, "auto-create", false, "authorize a trade when it is first captured")
	fs.BoolVar(&f.o.AllowEmptyNotifyURL, "allow-empty-notify-url", false, "accept capture calls without a notify_url, which get -3001 otherwise")
	fs.BoolVar(&f.o.ForgetCalls, "forget-calls", false, "count calls without recording them, for load tests")
	fs.StringVar((*string)(&f.o.RepeatedRequestID), "repeated-request-id", "replay", "replay, refuse, replay_error or rerun")
	fs.StringVar((*string)(&f.o.PartialAmount), "partial-amount", "captured", "what Order Query shows after a partial capture: captured or authorized")
	fs.BoolVar(&f.o.PartialCaptures, "partial-captures", false, "let further captures take effect as long as the authorized sum allows")
	fs.DurationVar(&f.queryLag, "query-lag", 0, "how old every Order Query's view is; not scaled")
	fs.StringVar(&f.o.SecondCapture, "second-capture", capture.CodeTradeID, "code for another capture of a captured trade")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if err := f.complete(); err != nil {
			return err
		}
		return f.serve(cmd.Context(), cmd.OutOrStdout())
	})
	return cmd
}

func knobHelp() string {
	var b strings.Builder
	for _, k := range gatewaytest.Knobs() {
		fmt.Fprintf(&b, "  %-19s %s\n", k.Name, k.Doc)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (f *simFlags) complete() (err error) {
	if f.scale <= 0 || f.scale > 1000 {
		return usageError("--time-scale is %v: must be above 0 and at most 1000", f.scale)
	}
	if f.o.Faults, err = gatewaytest.Preset(f.faults); err != nil {
		return usageError("--faults: %w", err)
	}
	f.o.Secret, f.o.Timing = gateway.Secret(f.secret), gatewaytest.DefaultTiming().Scaled(f.scale)
	f.o.Timing.QueryLag = f.queryLag
	if err := f.o.Validate(); err != nil {
		return &exitError{exitUsage, err}
	}
	return nil
}

// serve runs the simulator until ctx ends.
func (f *simFlags) serve(ctx context.Context, out io.Writer) error {
	listener, err := service.Listen("the simulated gateway (--listen)", f.listen)
	if err != nil {
		return err
	}
	sim := gatewaytest.New(f.o)
	defer sim.Close()
	server := &http.Server{Handler: sim, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	fmt.Fprintf(out, "listening on http://%s%s\n", listener.Addr(), gatewaytest.PaymentsPath)
	fmt.Fprintf(out, "user %s, faults %s, seed %d\n", f.o.User, f.faults, f.o.Seed)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the simulated gateway: %w", err)
	}
	return nil
}
