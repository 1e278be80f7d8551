package cli

import (
	"fmt"
	"io"

	"github.com/capture-worker/capture-worker/reconcile"
)

// releaseTally prints what became of each trade, and counts.
type releaseTally struct {
	w       io.Writer
	preview bool
	counts  map[reconcile.Fate]int
	money   map[reconcile.Fate]*reconcile.Money
}

func newReleaseTally(w io.Writer, preview bool) *releaseTally {
	return &releaseTally{w: w, preview: preview, counts: map[reconcile.Fate]int{}, money: map[reconcile.Fate]*reconcile.Money{}}
}

func (t *releaseTally) add(r reconcile.Release) {
	t.counts[r.Fate]++
	if t.money[r.Fate] == nil {
		t.money[r.Fate] = &reconcile.Money{}
	}
	t.money[r.Fate].Add(r.Amount)
	fmt.Fprintf(t.w, "%s  %s  %s: %s\n", r.TradeID, r.Amount, t.word(r.Fate), r.Why)
}

func (t *releaseTally) word(f reconcile.Fate) string {
	if !t.preview {
		return string(f)
	}
	switch f {
	case reconcile.WasReleased, reconcile.WasRetried:
		return "eligible"
	case reconcile.WasRefused:
		return "would be refused"
	}
	return "would be " + string(f)
}

func (t *releaseTally) end() {
	fmt.Fprintln(t.w)
	for _, f := range []reconcile.Fate{reconcile.WasReleased, reconcile.WasRetried, reconcile.WasResumed, reconcile.WasSettled, reconcile.WasRefused} {
		if n := t.counts[f]; n > 0 {
			fmt.Fprintf(t.w, "%s: %d\n", t.word(f), n)
			_ = printMoney(t.w, "  money", *t.money[f]) // as the line above, to the same place
		}
	}
}

func (t *releaseTally) asError() error {
	if n := t.counts[reconcile.WasRefused]; n > 0 {
		return foundError("refused: %s, see above", counted(n, "trade"))
	}
	return nil
}
