package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/printable"
)

func newLaneCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lane",
		Short: "List, pause and resume lanes",
		Long: `Jobs of several kinds may share the gateway by weight (jobs.lanes, jobs.weights).
A paused lane delivers no jobs to any worker, redeliveries included; the jobs
wait in the stream. Without lanes, the one consumer can be paused as "all".`,
		Example: "  capture-worker lane list\n  capture-worker lane pause batch --for 2h --reason 'the bank is being maintained'",
		Args:    cobra.NoArgs,
		RunE:    chooseOne,
	}
	cmd.AddCommand(newLaneListCmd(a), newLanePauseCmd(a), newLaneResumeCmd(a))
	return cmd
}

func newLaneListCmd(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "Show the lanes and their backlogs",
		Example: "  capture-worker lane list\n  capture-worker lane list -o json",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`format`: table or json")
	addSettings(cmd, "nats", "jobs", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if output != "table" && output != "json" {
			return usageError("--output is %q: must be table or json", output)
		}
		return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
			var rows []laneRow
			for _, lane := range c.LaneList() {
				row, err := lookAtLane(ctx, js, c, lane)
				if err != nil {
					return err
				}
				rows = append(rows, row)
			}
			return printLanes(cmd.OutOrStdout(), rows, output)
		})
	})
	return cmd
}

func newLanePauseCmd(a *app) *cobra.Command {
	var length time.Duration
	var by laneActor
	cmd := &cobra.Command{
		Use: "pause LANE", Short: "Stop delivering the jobs of a lane for a while",
		Example: "  capture-worker lane pause batch --for 2h --reason 'the bank is being maintained'",
		Args:    cobra.ExactArgs(1),
	}
	addDuration(cmd.Flags(), &length, "for", 24*time.Hour, "how long, unless it is resumed before; at most 30d")
	by.add(cmd)
	addSettings(cmd, "nats", "jobs", "ledger", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		if length <= 0 || length > capture.AuthorizationWindow {
			return usageError("--for is %s: must be above 0 and not above %s, because every authorization has expired by then",
				config.FormatDuration(length), config.FormatDuration(capture.AuthorizationWindow))
		}
		act, err := by.act(acts.Pause)
		if err != nil {
			return err
		}
		until := time.Now().Add(length)
		act.Detail = "until " + until.UTC().Format(time.RFC3339)
		return a.changeLane(cmd, args[0], act, fmt.Sprintf("paused until %s; the authorizations of its jobs still expire", until.UTC().Format(time.RFC3339)), pauseUntil(until))
	})
	return cmd
}

func newLaneResumeCmd(a *app) *cobra.Command {
	var by laneActor
	cmd := &cobra.Command{
		Use: "resume LANE", Short: "Deliver the jobs of a paused lane again",
		Example: "  capture-worker lane resume batch --reason 'the bank is back'",
		Args:    cobra.ExactArgs(1),
	}
	by.add(cmd)
	addSettings(cmd, "nats", "jobs", "ledger", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, args []string) error {
		act, err := by.act(acts.Resume)
		if err != nil {
			return err
		}
		return a.changeLane(cmd, args[0], act, "resumed", resumeNow)
	})
	return cmd
}

// laneActor is who changes a lane, and why.
type laneActor struct{ by, reason string }

func (l *laneActor) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.by, "by", "", "`name` of the operator, if not the user of this machine")
	cmd.Flags().StringVar(&l.reason, "reason", "", "why; required")
}

func (l *laneActor) act(kind acts.Kind) (acts.Act, error) {
	if err := checkReason(l.reason); err != nil {
		return acts.Act{}, err
	}
	by, err := actor(l.by)
	return acts.Act{Act: kind, By: by, Reason: l.reason}, err
}

// changeLane applies a change to the named lane and prints it.
func (a *app) changeLane(cmd *cobra.Command, name string, act acts.Act, done string, change laneChange) error {
	return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
		lane, err := applyToLane(ctx, js, c, name, act, change)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "lane %s (consumer %s) is %s\n", lane.Label(), lane.Consumer, done)
		return err
	})
}

// laneChange changes a consumer of a stream.
type laneChange func(context.Context, jetstream.Stream, string) error

// pauseUntil pauses the consumer; resumeNow resumes it.
func pauseUntil(until time.Time) laneChange {
	return func(ctx context.Context, s jetstream.Stream, consumer string) error {
		_, err := s.PauseConsumer(ctx, consumer, until)
		return err
	}
}

func resumeNow(ctx context.Context, s jetstream.Stream, consumer string) error {
	_, err := s.ResumeConsumer(ctx, consumer)
	return err
}

// applyToLane records the act and applies the change to the consumer of the named
// lane.
func applyToLane(ctx context.Context, js jetstream.JetStream, c config.Config, name string, act acts.Act, change laneChange) (config.Lane, error) {
	lane, err := laneNamed(c, name)
	if err != nil {
		return lane, err
	}
	// Looked at before the act is recorded: a mistyped stream is no act.
	stream, err := js.Stream(ctx, c.Jobs.Stream)
	if err == nil {
		_, err = stream.Consumer(ctx, lane.Consumer)
	}
	if err != nil {
		return lane, laneError(c, lane, err)
	}
	act.About = aboutLane(lane)
	if err := recorder(c, js).Do(ctx, act, func() error { return change(ctx, stream, lane.Consumer) }); err != nil {
		return lane, laneError(c, lane, err)
	}
	return lane, nil
}

func aboutLane(lane config.Lane) string { return "lane " + lane.Label() }

func laneNamed(c config.Config, name string) (config.Lane, error) {
	var names []string
	for _, lane := range c.LaneList() {
		if lane.Label() == name {
			return lane, nil
		}
		names = append(names, lane.Label())
	}
	return config.Lane{}, usageError("there is no lane %q; the lanes of jobs.lanes are %s", name, strings.Join(names, ", "))
}

func laneError(c config.Config, lane config.Lane, err error) error {
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("lane %s: consumer %s of stream %s does not exist yet; `capture-worker run` creates it", lane.Label(), lane.Consumer, c.Jobs.Stream)
	}
	return fmt.Errorf("lane %s: %w", lane.Label(), err)
}

// laneRow is a row of the list of lanes.
type laneRow struct {
	Lane      string   `json:"lane"`
	Consumer  string   `json:"consumer"`
	Subjects  []string `json:"subjects"`
	Weight    int      `json:"weight"`
	Ready     uint64   `json:"ready"`
	Delivered int      `json:"delivered"`
	Paused    bool     `json:"paused"`
	// PausedFor is the rest of the pause in seconds, PausedUntil its end.
	PausedFor   int64     `json:"paused_for,omitempty"`
	PausedUntil time.Time `json:"paused_until,omitzero"`
}

func lookAtLane(ctx context.Context, js jetstream.JetStream, c config.Config, lane config.Lane) (laneRow, error) {
	consumer, err := js.Consumer(ctx, c.Jobs.Stream, lane.Consumer)
	if err != nil {
		return laneRow{}, laneError(c, lane, err)
	}
	info := consumer.CachedInfo()
	row := laneRow{
		Lane: lane.Label(), Consumer: lane.Consumer, Subjects: lane.Subjects, Weight: lane.Weight,
		Ready: info.NumPending, Delivered: info.NumAckPending,
		Paused: info.Paused, PausedFor: int64(info.PauseRemaining.Seconds()),
	}
	if info.Paused && info.Config.PauseUntil != nil {
		row.PausedUntil = info.Config.PauseUntil.UTC()
	}
	return row, nil
}

func printLanes(w io.Writer, rows []laneRow, output string) error {
	if output == "json" {
		return writeJSON(w, rows)
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "LANE\tWEIGHT\tREADY\tUNDER WAY\tSTATE\tCONSUMER\tSUBJECTS")
	for _, r := range rows {
		state := "running"
		if r.Paused {
			left := time.Duration(r.PausedFor) * time.Second
			state = fmt.Sprintf("paused until %s UTC (%s left)", r.PausedUntil.Format(time.DateTime), left)
		}
		fmt.Fprint(table, printable.Row(r.Lane, r.Weight, r.Ready, r.Delivered, state, r.Consumer, strings.Join(r.Subjects, " ")))
	}
	return table.Flush()
}
