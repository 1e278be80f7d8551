package jobfile

import (
	"fmt"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

// totals recognizes a row with the total below a table: a row that names neither
// trade nor order, and whose amount is the sum of at least two rows above.
type totals struct {
	sums Sums
	rows int
}

// look counts a row, and returns its error.
func (t *totals) look(r Row, row *cells) error {
	if row[amount] == "" || row[orderID] != "" || t.rows < 2 || !namesNoTrade(row[tradeID]) {
		if r.Err == nil {
			t.sums.Add(r.Job.Amount, 1)
			t.rows++
		}
		return r.Err
	}
	code := strings.ToUpper(row[currency])
	if all := t.sums.Currencies(); code == "" && len(all) == 1 {
		code = all[0]
	}
	total, err := capture.ParseAmount(row[amount], code)
	if err == nil && total.Number() == t.sums.Number(code) {
		return &SkipError{fmt.Sprintf("it is the total of the rows above, %s", total)}
	}
	switch {
	case r.Err == nil:
		t.sums.Add(r.Job.Amount, 1)
		t.rows++
		return nil
	case row[tradeID] == "":
		return fmt.Errorf("%w; if it is a total, it is not that of the rows above, which is %s", reasonError{r.Err}, t.sums.String())
	}
	return r.Err
}

// namesNoTrade reports whether the text is not a trade_id, which would contain
// digits.
func namesNoTrade(id string) bool { return !strings.ContainsAny(id, "0123456789") }

// reasonError is an error whose text is shown in the list of bad rows.
type reasonError struct{ error }

func (e reasonError) Error() string { return Reason(e.error) }
func (e reasonError) Unwrap() error { return e.error }
