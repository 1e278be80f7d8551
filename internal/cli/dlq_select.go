package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/history"
	"github.com/capture-worker/capture-worker/internal/jobfile"
	"github.com/capture-worker/capture-worker/reconcile"
)

// letterFlags are the filter of the dlq commands.
type letterFlags struct {
	cases               caseFlags
	trade, order, since string
	limit               int
	after               uint64
}

// add adds the flags. reasonFlag is the name of the one for the reason of the dead
// letter: "only" if --reason is the reason of the operator.
func (f *letterFlags) add(cmd *cobra.Command, reasonFlag string) {
	f.cases.what, f.cases.reasons = "dead letters", deadletter.Reasons()
	f.cases.add(cmd, reasonFlag)
	fs := cmd.Flags()
	fs.StringVar(&f.trade, "trade", "", "only dead letters about this trade")
	fs.StringVar(&f.order, "order", "", "only dead letters about this order")
	fs.StringVar(&f.since, "since", "", "only dead letters stored since then: a `time`, or how long ago")
	fs.IntVar(&f.limit, "limit", 0, "at most so many, the oldest first; 0 is no limit")
	fs.Uint64Var(&f.after, "after", 0, "only dead letters with a `sequence` above this one, to go on after a --limit")
}

// set reports whether the filter selects anything by itself.
func (f *letterFlags) set() bool {
	return f.cases.set() || f.trade != "" || f.order != "" || f.since != "" || f.limit != 0 || f.after != 0
}

// letterFilter selects dead letters.
type letterFilter struct {
	cases        reconcile.ParkedFilter // Dismissed: also those that are not pending
	trade, order string
	limit        int // 0: none
	after        uint64
}

func (f *letterFlags) filter() (letterFilter, error) {
	cases, err := f.cases.filter()
	if err != nil {
		return letterFilter{}, err
	}
	if cases.Since, err = parseSince(f.since, time.Now()); err != nil {
		return letterFilter{}, err
	}
	if f.limit < 0 {
		return letterFilter{}, usageError("--limit is %d: must not be negative", f.limit)
	}
	return letterFilter{cases: cases, trade: f.trade, order: f.order, limit: f.limit, after: f.after}, nil
}

func (f letterFilter) takes(l history.DeadLetter, now time.Time) bool {
	if f.trade != "" && !capture.SameTrade(l.Trade, f.trade) || f.order != "" && l.Order != f.order {
		return false
	}
	return f.cases.Matches(reconcile.ParkedTrade{Reason: l.Reason, Amount: l.Sum(), Since: l.Time, Dismissed: !l.Pending()}, now)
}

// errEnough ends a walk.
var errEnough = errors.New("enough was read")

// walk calls each with the dead letters of the filter, the oldest first. next is the
// sequence of the last one if there are more than the limit, else 0.
func (d *dlqCmd) walk(ctx context.Context, f letterFilter, each func(history.DeadLetter) error) (next uint64, err error) {
	n, last, now := 0, uint64(0), time.Now()
	err = d.letters(ctx, letterQuery{Trade: f.trade, Order: f.order, Reason: f.cases.Reason, After: f.after}, func(l history.DeadLetter) error {
		if l.Seq <= f.after || !f.takes(l, now) {
			return nil
		}
		if n++; f.limit > 0 && n > f.limit {
			next = last
			return errEnough
		}
		last = l.Seq
		return each(l)
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return next, err
}

// selecting is the choice of the dead letters that a command acts on: by sequence,
// or by filter. Those of a filter are listed first, and the operator confirms.
type selecting struct {
	letterFlags
	yes bool

	filter letterFilter
	named  []uint64
}

func (s *selecting) add(cmd *cobra.Command, verb string) {
	s.letterFlags.add(cmd, "only")
	cmd.Flags().BoolVar(&s.yes, "yes", false, verb+" what the filter selects without asking; without it they are listed, and a terminal is asked")
}

func (s *selecting) check(args []string) (err error) {
	if (len(args) > 0) == s.set() {
		return usageError("name dead letters by their sequence, or select them with a filter such as --only; not both")
	}
	if s.filter, err = s.letterFlags.filter(); err != nil {
		return err
	}
	s.named, err = sequences(args)
	return err
}

// byFilter reports whether the dead letters were selected and not named.
func (s *selecting) byFilter() bool { return len(s.named) == 0 }

// choose returns the sequences. Those of a filter are listed with their sums.
func (s *selecting) choose(ctx context.Context, d *dlqCmd, cmd *cobra.Command) (seqs []uint64, err error) {
	if !s.byFilter() {
		return s.named, nil
	}
	list := newLetterList(cmd.OutOrStdout(), "table")
	add := list.add
	list.add = func(l history.DeadLetter) error {
		seqs = append(seqs, l.Seq)
		return add(l)
	}
	return seqs, d.list(ctx, s.filter, list, cmd.ErrOrStderr())
}

// confirm reports whether to act on what a filter selected: with --yes, or if an
// operator at a terminal says so. what is the act with its objects.
func (s *selecting) confirm(cmd *cobra.Command, done, what string) (bool, error) {
	switch {
	case !s.byFilter() || s.yes:
		return true, nil
	case stdinIsTerminal(cmd.InOrStdin()):
		return true, ask(cmd.InOrStdin(), cmd.ErrOrStderr(), what+"? (yes/no) ")
	}
	fmt.Fprintf(cmd.OutOrStdout(), "nothing was %s; add --yes to do it\n", done)
	return false, nil
}

// printSums writes the sums of a list, if there are any.
func printSums(w io.Writer, sums *jobfile.Sums) error {
	if sums.Empty() {
		return nil
	}
	_, err := fmt.Fprintf(w, "sum: %s\n", sums)
	return err
}
