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
	counts  map[reconcile.ReleaseResult]int
	money   map[reconcile.ReleaseResult]*reconcile.Money
}

func newReleaseTally(w io.Writer, preview bool) *releaseTally {
	return &releaseTally{w: w, preview: preview, counts: map[reconcile.ReleaseResult]int{}, money: map[reconcile.ReleaseResult]*reconcile.Money{}}
}

func (t *releaseTally) add(r reconcile.Release) {
	t.counts[r.Result]++
	if t.money[r.Result] == nil {
		t.money[r.Result] = &reconcile.Money{}
	}
	t.money[r.Result].Add(r.Amount)
	fmt.Fprintf(t.w, "%s  %s  %s: %s\n", r.TradeID, r.Amount, t.word(r.Result), r.Why)
}

func (t *releaseTally) word(f reconcile.ReleaseResult) string {
	if !t.preview {
		return string(f)
	}
	switch f {
	case reconcile.ResultReleased, reconcile.ResultRetried:
		return "eligible"
	case reconcile.ResultRefused:
		return "would be refused"
	}
	return "would be " + string(f)
}

func (t *releaseTally) end() {
	fmt.Fprintln(t.w)
	for _, f := range []reconcile.ReleaseResult{reconcile.ResultReleased, reconcile.ResultRetried, reconcile.ResultRepublished, reconcile.ResultSettled, reconcile.ResultRefused} {
		if n := t.counts[f]; n > 0 {
			fmt.Fprintf(t.w, "%s: %d\n", t.word(f), n)
			_ = printMoney(t.w, "  money", *t.money[f]) // as the line above, to the same place
		}
	}
}

func (t *releaseTally) asError() error {
	if n := t.counts[reconcile.ResultRefused]; n > 0 {
		return foundError("refused: %s, see above", counted(n, "trade"))
	}
	return nil
}
