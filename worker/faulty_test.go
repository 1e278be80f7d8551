package worker_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

var errDown = errors.New("the ledger is out of reach")

// Every operation of the ledger fails twice: not done, and done but reported
// as failed. The job is requeued and ends well all the same.
func TestLedgerFailsAtEveryPoint(t *testing.T) {
	t.Parallel()
	scripts := map[string][]string{
		"calm":          nil,
		"error, effect": {"-1000 after"},
		"lost, nothing": {"timeout before"},
		"our fault":     {"fault"},
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, done := range []bool{false, true} {
				points := 0
				for n, failed := 1, true; failed; n++ {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t)
						w.gateway.script = append([]string(nil), script...)
						truth := w.ledger
						var hit bool
						w.ledger = failNth(truth, n, done, &hit)
						w.redeliver(w.processor("unlucky"), job, true)
						w.ledger, failed = truth, hit
						w.survive(fmt.Sprintf("operation %d fails, done: %t", n, done))
					})
					points++
				}
				if points < 3 {
					t.Errorf("only %d points were met", points)
				}
			}
		})
	}
}

// failNth returns a ledger whose n-th operation fails, and notes that it did.
func failNth(truth ledger.Ledger, n int, done bool, hit *bool) ledger.Ledger {
	seen := 0
	hook := func(ledgertest.Call) error {
		seen++
		if seen != n {
			return nil
		}
		*hit = true
		if done {
			return ledger.ErrUncertain
		}
		return errDown
	}
	if done {
		return ledgertest.Faulty{Ledger: truth, After: hook}
	}
	return ledgertest.Faulty{Ledger: truth, Before: hook}
}
