package ledgertest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/ledger/ledgertest"
)

// A ledger of your own passes the suite in a test.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestMyLedger(t *testing.T)
		ledgertest.Run(t, func(*testing.T) ledger.Ledger { return &ledger.Memory{} })
	}
	// Output:
}

// The append is carried out and reported as uncertain, as after a lost reply.
func ExampleFaulty() {
	l := ledgertest.Faulty{
		Ledger: &ledger.Memory{},
		After: func(c ledgertest.Call) error {
			if c.Op == ledgertest.OpAppend {
				return ledger.ErrUncertain
			}
			return nil
		},
	}
	ctx := context.Background()
	_, err := l.Append(ctx, ledgertest.Event("T-1", capture.Attempted, 1), 0)
	fmt.Println(errors.Is(err, ledger.ErrUncertain))
	trade, err := l.LoadLatest(ctx, "T-1")
	fmt.Println(len(trade.Events), err)
	// Output:
	// true
	// 1 <nil>
}
