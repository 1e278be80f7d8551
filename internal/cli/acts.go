package cli

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/printable"
	"github.com/capture-worker/capture-worker/internal/records"
	"github.com/capture-worker/capture-worker/internal/service"
)

// recorder returns the recorder of operators' acts.
func recorder(c config.Config, js jetstream.JetStream) acts.Recorder {
	return acts.Recorder{JS: js, Stream: c.Jobs.ActsStream, Ledger: c.Ledger.Stream}
}

func newActsCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "acts",
		Short: "List what operators did, who and why",
		Long: `Every act of an operator is recorded, with name, reason, time and what it was
about: as an event of a trade, as a note beside a dead letter, or in the stream
jobs.acts_stream.`,
		Example: "  capture-worker acts list\n  capture-worker acts list --trade T-7",
		Args:    cobra.NoArgs,
		RunE:    chooseOne,
	}
	cmd.AddCommand(newActsListCmd(a))
	return cmd
}

// actsListing is one run of acts list.
type actsListing struct {
	query               records.ActQuery
	act, since, to, out string
	limit               int
}

// defaultActs is how many acts are listed.
const defaultActs = 100

func newActsListCmd(a *app) *cobra.Command {
	l := &actsListing{}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the acts of operators, newest first",
		Long: `Lists what operators did, newest first, from the records (records.dsn). Without
records the streams are read: the ledger from --since on, or as a whole; then an
act on a trade does not show its order and sum.`,
		Example: `  capture-worker acts list
  capture-worker acts list --trade T-7
  capture-worker acts list --act release --by ann --since 7d -o csv
  capture-worker acts list --since 2026-11-01 --until 2026-12-01 --limit 1000 -o json`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&l.act, "act", "", "only this `act`: "+strings.Join(actNames(), ", "))
	f.StringVar(&l.query.Actor, "by", "", "only acts of this operator")
	f.StringVar(&l.query.Trade, "trade", "", "only acts on this trade_id")
	f.Uint64Var(&l.query.Letter, "dead-letter", 0, "only acts on the dead letter with this `sequence`")
	f.StringVar(&l.since, "since", "", "only acts since then: a `time`, or how long ago")
	f.StringVar(&l.to, "until", "", "only acts before then: a `time`, or how long ago")
	f.IntVar(&l.limit, "limit", defaultActs, "list so many at most")
	f.StringVarP(&l.out, "output", "o", "table", "`format`: table, csv or json")
	addSettings(cmd, "nats", "jobs", "ledger", "gateway", "records", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if err := l.check(); err != nil {
			return err
		}
		c, err := a.load(cmd)
		if err != nil {
			return err
		}
		if service.HasRecords(c) {
			store, err := records.OpenReader(cmd.Context(), string(c.Records.DSN), records.Options{})
			if err != nil {
				return fmt.Errorf("records.dsn: %w", err)
			}
			return errors.Join(l.run(cmd.Context(), cmd, store), store.Close())
		}
		return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
			store, remove, err := service.TemporaryActs(ctx, c, js, "", l.query.From)
			if err != nil {
				return err
			}
			return errors.Join(l.run(ctx, cmd, store), remove())
		})
	})
	return cmd
}

func actNames() []string {
	var names []string
	for _, kind := range acts.Kinds() {
		names = append(names, string(kind))
	}
	return names
}

func (l *actsListing) check() (err error) {
	if err := checkOutput(l.out); err != nil {
		return err
	}
	if l.limit <= 0 {
		return usageError("--limit is %d: must be above 0", l.limit)
	}
	if l.query.Act = acts.Kind(l.act); l.act != "" && !slices.Contains(acts.Kinds(), l.query.Act) {
		return usageError("--act is %q: must be one of %s", l.act, strings.Join(actNames(), ", "))
	}
	now := time.Now()
	if l.query.From, err = parseSince(l.since, now); err != nil {
		return err
	}
	l.query.To, err = parseTime("--until", l.to, now)
	return err
}

func (l *actsListing) run(ctx context.Context, cmd *cobra.Command, store *records.Store) error {
	list := newActsList(cmd.OutOrStdout(), l.out)
	left, page := l.limit, records.Page{}
	for {
		page.Limit = min(left, records.MaxLimit)
		found, err := store.Acts(ctx, l.query, page)
		if err != nil {
			return err
		}
		for _, act := range found.Items {
			if err := list.add(act); err != nil {
				return err
			}
		}
		left -= len(found.Items)
		if page.Cursor = found.Next; page.Cursor == "" {
			return list.end()
		}
		if left <= 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "there are more than %s: see --limit\n", counted(l.limit, "act"))
			return list.end()
		}
	}
}

// actsList writes acts as they are read.
type actsList struct {
	add func(records.Act) error
	end func() error
}

func newActsList(w io.Writer, output string) actsList {
	switch output {
	case "csv":
		return actsCSV(w)
	case "json":
		enc := jsonLines(w)
		return actsList{add: func(a records.Act) error { return enc.Encode(a) }, end: func() error { return nil }}
	}
	return actsTable(w)
}

func actsTable(w io.Writer) actsList {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	n := 0
	return actsList{
		add: func(a records.Act) error {
			if n++; n == 1 {
				fmt.Fprintln(t, "TIME (UTC)\tACT\tBY\tABOUT\tREASON")
			}
			_, err := fmt.Fprint(t, printable.Row(a.At.Format(time.DateTime), a.Act, a.Actor, aboutAct(a), orDash(a.Note)))
			return err
		},
		end: func() error {
			if n == 0 {
				fmt.Fprintln(t, "no act is recorded that matches")
			}
			return t.Flush()
		},
	}
}

// aboutAct says what an act was about.
func aboutAct(a records.Act) string {
	var parts []string
	if a.Letter != 0 {
		parts = append(parts, "dead letter "+strconv.FormatUint(a.Letter, 10))
	}
	if a.Trade != "" {
		parts = append(parts, "trade "+a.Trade)
	}
	if a.Order != "" {
		parts = append(parts, "order "+a.Order)
	}
	if !a.Amount.IsZero() {
		parts = append(parts, a.Amount.String())
	}
	for _, text := range []string{a.About, a.Detail} {
		if text != "" {
			parts = append(parts, text)
		}
	}
	if a.Failed != "" {
		parts = append(parts, "had no effect: "+a.Failed)
	}
	return orDash(strings.Join(parts, ", "))
}

func actsCSV(w io.Writer) actsList {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"time", "act", "by", "reason", "trade_id", "order_id", "amount", "currency", "dead_letter", "about", "detail", "failed", "source", "sequence"}) // csv keeps the error
	return actsList{
		add: func(a records.Act) error {
			letter := ""
			if a.Letter != 0 {
				letter = strconv.FormatUint(a.Letter, 10)
			}
			return out.Write(safeCells(a.At.Format(time.RFC3339), string(a.Act), a.Actor, a.Note, a.Trade, a.Order, a.Amount.Number(), a.Amount.Currency(),
				letter, a.About, a.Detail, a.Failed, string(a.Source), strconv.FormatUint(a.Seq, 10)))
		},
		end: func() error { out.Flush(); return out.Error() },
	}
}
