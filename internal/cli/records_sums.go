package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/printable"
	"github.com/capture-worker/capture-worker/internal/records"
)

func newRecordsSumsCmd(a *app) *cobra.Command {
	var p periodFlags
	var daily bool
	var output string
	cmd := &cobra.Command{
		Use:   "sums",
		Short: "Add up the outcomes of a period, by currency and reason",
		Long: `Counts the captured, failed and parked trades of a month, or of some days, and
adds up their money: of captured ones the sum that was taken, of the others the
sum that was asked. --by says by which time a trade belongs to a day, as for
export. The sums are read from the records (records.dsn); how far these are behind
the ledger is stated.`,
		Example: `  capture-worker records sums --month 2026-11
  capture-worker records sums --from 2026-11-01 --to 2026-11-14 --daily --timezone Europe/Amsterdam -o csv`,
		Args: cobra.NoArgs,
	}
	p.add(cmd)
	cmd.Flags().BoolVar(&daily, "daily", false, "a sum for each day")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`format`: table, csv or json")
	addSettings(cmd, "nats", "ledger", "records", "log")
	cmd.RunE = a.do(func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		period, err := p.period()
		if err != nil {
			return err
		}
		q := records.SumQuery{From: period.From, To: period.To, Zone: period.Zone, By: records.Clock(p.by), Daily: daily}
		return a.withJetStream(cmd, func(ctx context.Context, js jetstream.JetStream, c config.Config) error {
			warn := func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) }
			found := openLookup(ctx, js, c, warn)
			defer found.close()
			if found.store == nil {
				return fmt.Errorf("there are no records to read: set records.dsn, see docs/records.md")
			}
			sums, err := found.store.Sums(ctx, q)
			if err != nil {
				return err
			}
			warn(found.asOf())
			return printOutcomeSums(cmd.OutOrStdout(), sums.Items, output)
		})
	})
	return cmd
}

func printOutcomeSums(w io.Writer, sums []records.Sum, output string) error {
	head := []string{"day", "outcome", "reason", "currency", "trades", "amount", "unsummed"}
	row := func(s records.Sum) []string {
		return []string{s.Day, string(s.Phase), s.Reason, s.Currency,
			strconv.FormatInt(s.Total.Trades, 10), s.Total.Amount, strconv.FormatInt(s.Total.Unsummed, 10)}
	}
	switch output {
	case "json":
		return writeJSON(w, sums)
	case "csv":
		out := csv.NewWriter(w)
		_ = out.Write(head) // csv keeps the error
		for _, s := range sums {
			_ = out.Write(safeCells(row(s)...))
		}
		out.Flush()
		return out.Error()
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "DAY\tOUTCOME\tREASON\tTRADES\tSUM")
	for _, s := range sums {
		text := s.Total.Amount + " " + s.Currency
		if s.Total.Unsummed > 0 {
			text += fmt.Sprintf(", without %s of unknown sum", counted(s.Total.Unsummed, "trade"))
		}
		fmt.Fprint(t, printable.Row(orDash(s.Day), s.Phase, orDash(s.Reason), s.Total.Trades, text))
	}
	return t.Flush()
}
