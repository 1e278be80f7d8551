package reconcile_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

// Trades without a useful answer do not stop a batch: as long as others have
// answers, it continues and marks these, quickly.
func TestBatchGoesPastTradesThatTellNothing(t *testing.T) {
	t.Parallel()
	for name, useless := range map[string]capture.Answer{
		"an unlisted code": {Kind: capture.AnswerUnknown, Code: "-4999"}, "an internal error": silence,
		"no answer": {Kind: capture.AnswerUnknown, Why: "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := &asked{answer: func(id string, _ int) capture.Answer {
					switch n, err := strconv.Atoi(strings.TrimPrefix(id, "T")); {
					case err != nil: // no trade of ours
						return capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeTradeID}
					case n < 35 || n%2 == 0:
						return useless
					}
					return says(t, "authorized", "1.00")
				}}
				begin := time.Now()
				verdicts, err := collect(t, newBatch(a, &ledger.Memory{}).Run(t.Context(), trades(100), nil))
				kinds := map[reconcile.Kind]int{}
				for _, v := range verdicts {
					kinds[v.Kind]++
				}
				if took := time.Since(begin); err != nil || kinds[reconcile.KindUnknown] != 67 || kinds[reconcile.KindNotCaptured] != 33 || took > 5*time.Minute {
					t.Errorf("%v after %s, %v", kinds, took, err)
				}
			})
		})
	}
}

// A batch that gives up on the gateway names what it did not ask about, and the
// cursor keeps that for the next run.
func TestBatchMarksWhatItDidNotAsk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := false
		a := &asked{answer: func(id string, _ int) capture.Answer {
			if down = down || id == "T50"; down {
				return silence
			}
			return says(t, "authorized", "1.00")
		}}
		b, cursor, unasked := newBatch(a, &ledger.Memory{}), reconcile.Cursor{}, 0
		var end error
		for v, err := range b.Run(t.Context(), trades(200), &cursor) {
			if end = err; err != nil {
				break
			}
			if cursor.Done(v); v.Unasked {
				unasked++
				if v.Kind != reconcile.KindUnknown || v.Why == "" {
					t.Errorf("%s: %s, %s", v.TradeID, v.Kind, v.Why)
				}
			}
		}
		if !errors.Is(end, reconcile.ErrGatewayDown) || unasked < 100 {
			t.Errorf("%d were not asked, the end: %v", unasked, end)
		}
		down = false
		a.answer = always(says(t, "authorized", "1.00"))
		verdicts, err := collect(t, b.Run(t.Context(), trades(200), &cursor))
		if err != nil || len(verdicts) != unasked {
			t.Errorf("the next run has %d, want %d, %v", len(verdicts), unasked, err)
		}
	})
}
