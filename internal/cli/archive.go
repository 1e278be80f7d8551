package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/archive"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/ledger"
)

func newArchiveCmd(a *app) *cobra.Command {
	var to string
	var openDay bool
	cmd := &cobra.Command{
		Use:   "archive",
		Short: "Archive the ledger's closed days, where their age takes nothing",
		Long: `Writes the events of each closed day (UTC) that is not archived yet to a place
outside the ledger, with a manifest: a folder, s3://BUCKET/PREFIX?endpoint=URL or
nats-object://BUCKET. The manifests are a chain of SHA-256 sums. A day counts as
archived when its file was read back and compared with the ledger.

Run it every hour or every day, from one machine. After an interruption, run it
again. The credentials for S3 are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or
those in the file that AWS programs share. See docs/books.md.

Exit codes: 0 good; 1 it failed; 2 wrong usage or configuration; 3 it worked, and
events had left the ledger before they were archived.`,
		Example: `  capture-worker archive --to books/archive
  capture-worker archive --to books/archive --open-day`,
		Args: cobra.NoArgs,
	}
	addPlace(cmd, &to)
	cmd.Flags().BoolVar(&openDay, "open-day", false, "also the day that is not over, as before a server is switched off")
	addSettings(cmd, "nats", "ledger", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
			return runArchive(ctx, cmd, js, c, to, openDay)
		})
	})
	cmd.AddCommand(newArchiveVerifyCmd(a), newArchiveRestoreCmd(a))
	return cmd
}

func addPlace(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "to", "", "the `place` of the archive (default archive.to)")
}

// openArchive opens the archive that the flag or the configuration names.
func openArchive(ctx context.Context, c config.Config, js jetstream.JetStream, place string) (archive.Target, error) {
	if place = cmp.Or(place, c.Archive.To); place == "" {
		return nil, usageError("--to, or the setting archive.to, is required: where the archive is")
	}
	t, err := archive.OpenTarget(ctx, place, js)
	if errors.Is(err, archive.ErrTarget) {
		return nil, usageError("--to: %w", err)
	}
	return t, err
}

func runArchive(ctx context.Context, cmd *cobra.Command, js jetstream.JetStream, c config.Config, place string, openDay bool) error {
	target, err := openArchive(ctx, c, js, place)
	if err != nil {
		return err
	}
	control, err := controls.Open(ctx, js, c.Ledger.Stream)
	if err != nil {
		return fmt.Errorf("how far the archive is could not be stored for the workers: %w", err)
	}
	a := archive.Archiver{
		JS: js, Ledger: c.Ledger.Stream, Target: target, Log: newToolLogger(c, cmd.ErrOrStderr()), Stored: control.NoteArchive, OpenDay: openDay,
	}
	report, err := a.Run(ctx)
	out := cmd.OutOrStdout()
	for _, m := range report.Days {
		fmt.Fprintf(out, "%s: %s of %s, sequences %d to %d\n", m.Day, counted(m.Events, "event"), counted(m.Trades, "trade"), m.First, m.Last)
	}
	if err != nil {
		return err
	}
	if report.Mark.Through == 0 {
		_, err = fmt.Fprintln(out, "no day is closed yet: nothing is archived")
		return err
	}
	fmt.Fprintf(out, "archived through sequence %d (%s) of %d; head %s\n", report.Mark.Through, report.Mark.Day, report.Ledger.Last, report.Mark.Head)
	if report.Lost > 0 {
		return foundError("%s had left the ledger before they were archived: run archive more often, or raise ledger.max_age", counted(report.Lost, "event"))
	}
	return nil
}

func newArchiveVerifyCmd(a *app) *cobra.Command {
	var to, output string
	v := archive.Verifier{}
	var against bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that the archive is as it was written",
		Long: `Reads the whole archive: the chain of its manifests, the sum of each file, each
event, and what they add up to. With --against-ledger each event that the ledger
still holds is compared with it. With --head the newest manifest must be the one
that is known from elsewhere: nothing else shows that the newest days are gone.

Exit codes: 0 good; 1 it failed; 2 wrong usage or configuration; 3 the archive is
not as it was written.`,
		Example: `  capture-worker archive verify --to books/archive
  capture-worker archive verify --to books/archive --against-ledger -o json`,
		Args: cobra.NoArgs,
	}
	addPlace(cmd, &to)
	cmd.Flags().StringVar(&v.Head, "head", "", "SHA-256 of the newest manifest, as archive printed it")
	cmd.Flags().BoolVar(&against, "against-ledger", false, "compare the events with those that the ledger still holds")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`format`: table or json")
	addSettings(cmd, "nats", "ledger", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if output != "table" && output != "json" {
			return usageError("--output is %q: must be table or json", output)
		}
		return a.withArchive(cmd, to, against, func(ctx context.Context, target archive.Target, js jetstream.JetStream, c config.Config) error {
			v.Target, v.Ledger = target, c.Ledger.Stream
			if against {
				v.Against = js
			}
			found, err := v.Verify(ctx)
			if err != nil {
				return err
			}
			return printVerification(cmd, found, output)
		})
	})
	return cmd
}

// withArchive opens the archive, and connects to NATS if that is needed.
func (a *app) withArchive(cmd *cobra.Command, place string, connect bool, use func(context.Context, archive.Target, jetstream.JetStream, config.Config) error) error {
	c, err := a.load(cmd)
	if err != nil {
		return err
	}
	if connect || archive.NeedsNATS(cmp.Or(place, c.Archive.To)) {
		return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
			target, err := openArchive(ctx, c, js, place)
			if err != nil {
				return err
			}
			return use(ctx, target, js, c)
		})
	}
	target, err := openArchive(cmd.Context(), c, nil, place)
	if err != nil {
		return err
	}
	return use(cmd.Context(), target, nil, c)
}

func printVerification(cmd *cobra.Command, found archive.Verification, output string) error {
	out := cmd.OutOrStdout()
	if output == "json" {
		if err := writeJSON(out, found); err != nil {
			return err
		}
	} else {
		for _, p := range found.Problems {
			fmt.Fprintf(out, "%s  %s: %s\n", p.Fault, p.Object, p.Detail)
		}
		for _, name := range found.Unreferenced {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: no manifest names it; it is left from an interrupted run, or was added, and is not read\n", name)
		}
		fmt.Fprintf(out, "%s, %s, sequences %d to %d, %d compared with the ledger; head %s\n",
			counted(found.Days, "day"), counted(found.Events, "event"), found.First, found.Last, found.Compared, orDash(found.Head))
	}
	if len(found.Problems) > 0 {
		return foundError("the archive is not as it was written: found %s", counted(len(found.Problems), "problem"))
	}
	return nil
}

func newArchiveRestoreCmd(a *app) *cobra.Command {
	var to, day, from, until, stream string
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Put archived days back into a ledger that does not exist yet",
		Long: `Creates a ledger stream and stores the events of a day, or of several, with their
sequences, subjects, headers and bytes; only the time of storing is new. The
stream must not exist, and no other stream may have its subjects: use a server
of its own to look at old days beside a running ledger.`,
		Example: "  capture-worker archive restore --to books/archive --day 2026-11-02 --stream RESTORED",
		Args:    cobra.NoArgs,
	}
	addPlace(cmd, &to)
	f := cmd.Flags()
	f.StringVar(&day, "day", "", "the `day`, such as 2026-11-02")
	f.StringVar(&from, "from", "", "the first `day`, instead of one")
	f.StringVar(&until, "until", "", "the last `day`, included")
	f.StringVar(&stream, "stream", "", "the `name` of the stream that is created (default ledger.stream)")
	addSettings(cmd, "nats", "ledger", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		first, last, err := restoreDays(day, from, until)
		if err != nil {
			return err
		}
		return a.withArchive(cmd, to, true, func(ctx context.Context, target archive.Target, js jetstream.JetStream, c config.Config) error {
			cfg := ledger.StreamConfig{Stream: cmp.Or(stream, c.Ledger.Stream), Replicas: c.NATS.Replicas, MaxAge: ledger.Forever}.Settings(js)
			n, err := archive.Restore{Target: target, Ledger: c.Ledger.Stream, JS: js, Stream: cfg}.Days(ctx, first, last)
			if err != nil {
				return fmt.Errorf("restoring %s to %s: %w", first, last, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "restored %s into stream %s, without a limit on their age\n", counted(n, "event"), cfg.Name)
			return err
		})
	})
	return cmd
}

func restoreDays(day, from, until string) (first, last string, err error) {
	switch {
	case day != "" && from == "" && until == "":
		first, last = day, day
	case day == "" && from != "" && until != "":
		first, last = from, until
	default:
		return "", "", usageError("--day, or --from and --until, is required")
	}
	for _, text := range []string{first, last} {
		if _, err := time.Parse(time.DateOnly, text); err != nil {
			return "", "", usageError("%.20q is not a day such as 2026-11-02", text)
		}
	}
	return first, last, nil
}
