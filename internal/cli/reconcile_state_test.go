package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/reconcile"
)

func rowAt(position int64, trade string) reconcileRow {
	return reconcileRow{Position: position, TradeID: trade, Finding: reconcile.KindAgreed}
}

// begin opens the journal of a question, and fills it where rows are given.
func begin(t *testing.T, path, question string, restart bool, rows ...reconcileRow) *journal {
	t.Helper()
	j, err := openJournal(path, journalHeader{Question: question, Begun: time.Now()}, restart)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.close)
	for _, row := range rows {
		if err := j.add(row); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

func order(t *testing.T, j *journal) (ids string) {
	t.Helper()
	if err := j.each(func(r reconcileRow) error { ids += r.TradeID; return nil }); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestJournalGoesOnAndKeepsTheOrderOfTheInput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "state")
	skipped := rowAt(1, "b")
	skipped.Finding = reconcile.KindSkipped
	begin(t, path, "q", false, rowAt(2, "c"), rowAt(0, "a"), skipped)
	// The last line was cut off by a crash.
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(whole, `{"position":3,"trade_`...), 0o600); err != nil {
		t.Fatal(err)
	}
	j := begin(t, path, "q", false)
	if j.done() != 3 || j.cursor.Next != 3 || j.cursor.Last != "c" {
		t.Errorf("%d done, the cursor is %+v", j.done(), j.cursor)
	}
	if err := j.add(rowAt(3, "d")); err != nil {
		t.Fatal(err)
	}
	if got := order(t, j); got != "acd" {
		t.Errorf("the rows are %s, want acd", got)
	}
	if again := begin(t, path, "q", false); order(t, again) != "acd" {
		t.Errorf("read once more: %s", order(t, again))
	}
}

// What the gateway did not answer is no finding to continue with.
func TestJournalAsksAgainWhatWasAskedInVain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	vain := rowAt(0, "a")
	vain.Finding = reconcile.KindUnknown
	begin(t, path, "q", false, vain, rowAt(1, "b"))
	j := begin(t, path, "q", false)
	if j.done() != 1 || j.cursor.Next != 0 {
		t.Errorf("%d done, the cursor is %+v", j.done(), j.cursor)
	}
	if err := j.add(rowAt(0, "A")); err != nil {
		t.Fatal(err)
	}
	if got := order(t, j); got != "Ab" {
		t.Errorf("the rows are %s, want Ab", got)
	}
}

// Two runs of one question: the second takes nothing from the first.
func TestJournalIsNotTakenFromARunAtWork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	first := begin(t, path, "q", false, rowAt(0, "a"))
	begin(t, path, "q", true, rowAt(0, "x"))
	if err := first.add(rowAt(1, "b")); err != nil {
		t.Fatal(err)
	}
	if got := order(t, first); got != "ab" {
		t.Errorf("the rows of the first are %s, want ab", got)
	}
}

func TestJournalBeginsAnewForAnotherQuestion(t *testing.T) {
	for name, open := range map[string]func(path string) *journal{
		"another question": func(path string) *journal { return begin(t, path, "other", false) },
		"restart":          func(path string) *journal { return begin(t, path, "q", true) },
		"too old": func(path string) *journal {
			text, _ := os.ReadFile(path)
			year := []byte(time.Now().Format("2006-"))
			_ = os.WriteFile(path, bytes.Replace(text, year, []byte("2020-"), 1), 0o600)
			return begin(t, path, "q", false)
		},
	} {
		path := filepath.Join(t.TempDir(), "state")
		begin(t, path, "q", false, rowAt(0, "a"))
		if j := open(path); j.done() != 0 || order(t, j) != "" {
			t.Errorf("%s: %d rows of the earlier run", name, j.done())
		}
	}
}

func TestJournalLeavesAFileOfOthersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "books.csv")
	if err := os.WriteFile(path, []byte("trade_id,amount\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(path, journalHeader{Question: "q"}, true); err == nil {
		t.Error("took it for its own")
	}
	if text, _ := os.ReadFile(path); string(text) != "trade_id,amount\n" {
		t.Errorf("it holds %q now", text)
	}
}
