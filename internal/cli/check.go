package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/natsconn"
	"github.com/capture-worker/capture-worker/internal/preflight"
	"github.com/capture-worker/capture-worker/internal/service"
)

// checkTimeout limits the wait for a NATS server that does not answer.
const checkTimeout = 3 * time.Second

func newCheckCmd(a *app) *cobra.Command {
	var output, role string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check configuration, NATS, streams, permissions and gateway",
		Long: `Connects to NATS and to the gateway and checks the streams, the consumers, their
limits, the clocks, the address for notifications, and the NATS permissions: of a
worker, or with --for operator those that the other commands need. It warns of
dead letters and parked trades that need an operator. It creates and changes
nothing. The gateway is asked about a trade that does not exist.

Each line is ok, a warning or an error, with what to do about it.

Exit codes: 0 no error; 1 at least one; 2 wrong usage or configuration.`,
		Example: `  capture-worker check
  capture-worker check -o json
  capture-worker check --for operator`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&role, "for", string(preflight.ForWorker), "`role` of this NATS user: worker (run), or operator (the other commands)")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`format`: table or json")
	addSettings(cmd)
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if output != "table" && output != "json" {
			return usageError("--output is %q: must be table or json", output)
		}
		if role != string(preflight.ForWorker) && role != string(preflight.ForOperator) {
			return usageError("--for is %q: must be worker or operator", role)
		}
		c, err := a.load(cmd)
		if err != nil {
			return err
		}
		found := newChecker(c, preflight.Role(role), cmd.ErrOrStderr()).Run(cmd.Context())
		if err := printFindings(cmd.OutOrStdout(), found, output); err != nil {
			return err
		}
		if n := finding.Count(found, finding.Error); n > 0 {
			return fmt.Errorf("%s in %s: see the findings above", counted(n, "error"), counted(len(found), "check"))
		}
		return nil
	})
	return cmd
}

func newChecker(c config.Config, role preflight.Role, stderr io.Writer) *preflight.Checker {
	checker := &preflight.Checker{
		Config: c, Streams: service.Streams(c), Limits: service.Limits(c), For: role,
		Connect: func(ctx context.Context) (*nats.Conn, jetstream.JetStream, error) {
			log := newToolLogger(c, stderr)
			nc, err := service.ConnectWithin(ctx, c, log, checkTimeout)
			if err != nil {
				return nil, nil, err
			}
			js, err := nc.JetStream()
			if err != nil {
				return nil, nil, err
			}
			return nc.Conn, natsconn.Patient(js, log), nil
		},
	}
	if checker.Missing = c.Validate(config.NeedGateway, config.NeedNotifyURL); checker.Missing != nil {
		return checker
	}
	client, err := service.NewGateway(c, readBuild().Version)
	if err != nil {
		checker.Missing = err
		return checker
	}
	checker.Query = func(ctx context.Context, trade string) capture.Answer {
		defer client.Close()
		return client.Query(ctx, trade)
	}
	return checker
}

func printFindings(w io.Writer, found []finding.Finding, output string) error {
	if output == "json" {
		return writeJSON(w, struct {
			Worst    finding.Severity  `json:"worst"`
			Findings []finding.Finding `json:"findings"`
		}{finding.Worst(found), found})
	}
	for _, f := range found {
		// Indent a finding of several lines.
		text := strings.ReplaceAll(f.What, "\n", "\n"+strings.Repeat(" ", 24))
		fmt.Fprintf(w, "%-8s %-14s %s\n", f.Severity, f.Area, text)
		if f.Fix != "" {
			fmt.Fprintf(w, "%24s-> %s\n", "", f.Fix)
		}
	}
	_, err := fmt.Fprintf(w, "\n%d ok, %s, %s\n", finding.Count(found, finding.OK),
		counted(finding.Count(found, finding.Warning), "warning"), counted(finding.Count(found, finding.Error), "error"))
	return err
}
