package jobfile

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
)

// passes checks rows as publish does, and returns the lines that it would send,
// the lines it lists as bad, and what it counts.
func passes(t *testing.T, known *Trades, text string) (sent, listed []string, found *Found) {
	t.Helper()
	all, err := read(t, text, FormatCSV)
	if err != nil {
		t.Fatal(err)
	}
	begin := func() Rows {
		return func(yield func(Row, error) bool) {
			for _, r := range all {
				if len(known.first) > known.max {
					t.Fatalf("%d trades are kept, %d may be", len(known.first), known.max)
				}
				if !yield(r, nil) {
					return
				}
			}
		}
	}
	var list strings.Builder
	found, err = known.CheckAll(func() (Rows, error) { return begin(), nil }, &list)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range known.Mark(begin()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Err == nil {
			sent = append(sent, fmt.Sprint(r.Line))
		}
	}
	for line := range strings.Lines(list.String()) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "line "), ":")
		listed = append(listed, name)
	}
	return sent, listed, found
}

// TestDoubtedTrades checks that neither of two rows with different amounts for one
// trade is sent, in any order, and that equal rows are sent. Equal rows are no
// matter.
func TestDoubtedTrades(t *testing.T) {
	t.Parallel()
	text := header + "t-1,1.00,EUR,\nt-2,1.00,EUR,\nt-1,1,EUR,\nt-1,2.00,EUR,\nt-2,1.00,EUR,\nt-1,1.00,EUR,\nt-3,x,EUR,\n"
	sent, listed, found := passes(t, newTrades(maxKept), text)
	if got := strings.Join(sent, " "); got != "3 6" {
		t.Errorf("lines %s are sent, want 3 6", got)
	}
	if got := strings.Join(listed, " "); got != "4 rows (lines 2, 4, 5, 7) 8" {
		t.Errorf("listed %s", got)
	}
	if want := (Tally{Read: 7, Good: 2, Bad: 5}); found.Tally != want || found.Sums.String() != "2.00 EUR" {
		t.Errorf("counted %+v with %s, want %+v", found.Tally, &found.Sums, want)
	}
}

// TestDoubtsAreFoundInManyPasses checks that with memory for few trades the same
// rows are sent, listed and counted as with memory for all.
func TestDoubtsAreFoundInManyPasses(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		dice := rand.New(rand.NewPCG(seed, 7))
		var text strings.Builder
		text.WriteString(header)
		trades := 1 + dice.IntN(60)
		for range dice.IntN(150) {
			amount := "1.00"
			switch dice.IntN(20) {
			case 0:
				amount = "2.00"
			case 1:
				amount = "none"
			}
			fmt.Fprintf(&text, "t-%d,%s,EUR,\n", dice.IntN(trades), amount)
		}
		sent, _, found := passes(t, newTrades(maxKept), text.String())
		known := newTrades(1 + dice.IntN(8))
		gotSent, _, gotFound := passes(t, known, text.String())
		if !slices.Equal(gotSent, sent) || gotFound.Tally != found.Tally || gotFound.Sums.String() != found.Sums.String() {
			t.Fatalf("seed %d, %d at a time: lines %v are sent, %+v; at once %v, %+v\n%s",
				seed, known.max, gotSent, gotFound.Tally, sent, found.Tally, text.String())
		}
		if found.Good != len(sent) {
			t.Fatalf("seed %d: %d rows are good, %d would be sent", seed, found.Good, len(sent))
		}
	}
}

// TestAFileOfDoubtsIsNotRead checks that too many doubted trades are an error,
// because the memory would grow with them.
func TestAFileOfDoubtsIsNotRead(t *testing.T) {
	t.Parallel()
	in := func(yield func(Row, error) bool) {
		for i := range 2 * (maxDoubted + 10) {
			amount, err := capture.ParseAmount(fmt.Sprintf("%d.00", 1+i%2), "EUR")
			if err != nil {
				yield(Row{}, err)
				return
			}
			if !yield(Row{Line: i + 1, Job: capture.Job{TradeID: fmt.Sprintf("t-%d", i/2), Amount: amount}}, nil) {
				return
			}
		}
	}
	known := newTrades(maxKept)
	if _, err := known.CheckAll(func() (Rows, error) { return in, nil }, io.Discard); err == nil || !strings.Contains(err.Error(), "is it the right file?") {
		t.Errorf("%v", err)
	}
	if len(known.doubted) > maxDoubted+1 {
		t.Errorf("%d doubts are kept", len(known.doubted))
	}
}
