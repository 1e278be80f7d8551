//go:build unix

package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// withdrawJobs is how many jobs TestWithdrawUnderLoad publishes; a fifth of them is
// withdrawn.
var withdrawJobs = flag.Int("withdraw-jobs", 5000, "jobs of the test that withdraws")

const (
	withdrawalsStream   = "CAPTURE_WITHDRAWALS"
	withdrawalsConsumer = "capture-worker-withdrawals"
	withdrawWave        = 250
)

// withdrawn is an order that is withdrawn, and when.
type withdrawn struct {
	order order
	when  int // 0: before a worker runs; 1: right behind its job; 2: two waves later
	body  []byte
}

// TestWithdrawUnderLoad withdraws a thousand of five thousand jobs, by trade and by
// order, before, with and after their jobs, under load with faults and kills. No
// withdrawn trade is captured unless its call was already out, each of those says so,
// and no rule is broken.
func TestWithdrawUnderLoad(t *testing.T) {
	processtest.Long(t)
	b := startBroker(t)
	s := startSim(t, "--faults", "rough", "--seed", "11", "--latency", "20ms")
	orders := plain(t, "w", *withdrawJobs)
	gone := choose(t, orders)
	env := workerEnv(b, s, "CAPTURE_WORKER_CONCURRENCY=16")
	startWorker(t, "maker", env).Stop(patience) // creates the streams
	publishWithdrawals(b, gone, 0, 0, len(orders))
	workers := []*processtest.Process{startWorker(t, "w0", env), startWorker(t, "w1", env)}
	for from := 0; from < len(orders); from += withdrawWave {
		to := min(from+withdrawWave, len(orders))
		before := s.calls()
		place(b, s, orders[from:to])
		publishWithdrawals(b, gone, 1, from, to)
		publishWithdrawals(b, gone, 2, from-2*withdrawWave, to-2*withdrawWave)
		s.waitCalls(10, before)
		if wave := from / withdrawWave; wave%3 == 0 {
			workers[wave%2].Kill()
			workers[wave%2] = startWorker(t, fmt.Sprintf("w%d-%d", wave%2, wave), env)
		}
	}
	publishWithdrawals(b, gone, 2, len(orders)-2*withdrawWave, len(orders))
	b.waitDone(2 * patience)
	processtest.WaitFor(t, patience, "all withdrawals to be finished", func() bool {
		consumer, err := b.js.Consumer(t.Context(), withdrawalsStream, withdrawalsConsumer)
		return err == nil && consumer.CachedInfo().NumPending+uint64(consumer.CachedInfo().NumAckPending) == 0
	})
	for _, w := range workers {
		w.Stop(patience)
	}
	report := settled(b, s, orders)
	late := checkWithdrawn(t, b, gone)
	saysTooLate(t, env, late)
	t.Logf("%d trades, %d withdrawn: %d captured in all, %d of them withdrawn too late, failed %v, parked %v",
		report.Trades, len(gone), report.Captured, len(late), report.FailedByReason, report.ParkedByReason)
	if inTime := report.FailedByReason[capture.ReasonWithdrawn]; inTime < len(gone)/3 {
		t.Errorf("%d trades failed as withdrawn, want at least those that were withdrawn before their jobs", inTime)
	}
	if len(b.messages(dlqStream)) > 0 {
		t.Errorf("%d dead letters, want none", len(b.messages(dlqStream)))
	}
}

// choose picks the orders that are withdrawn: every fifth, in turn by trade and by
// order, before, with and after its job.
func choose(t *testing.T, orders []order) map[int]withdrawn {
	t.Helper()
	gone := map[int]withdrawn{}
	for i := 0; i < len(orders); i += 5 {
		n := i / 5
		w := capture.Withdrawal{TradeID: orders[i].trade.TradeID, Reason: "returned", By: "e2e"}
		if n%2 == 0 {
			w.TradeID, w.OrderID = "", orders[i].jobs[0].OrderID
		}
		body, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		gone[i] = withdrawn{orders[i], n / 2 % 3, body}
	}
	return gone
}

// publishWithdrawals publishes those of some orders that come at that time.
func publishWithdrawals(b *broker, gone map[int]withdrawn, when, from, to int) {
	b.t.Helper()
	for i := max(from, 0); i < to; i++ {
		if w, is := gone[i]; is && w.when == when {
			b.publish("capture.withdrawals.returns", w.body)
		}
	}
}

// checkWithdrawn returns the withdrawn trades that are captured. Each of them had its
// call announced before its withdrawal was written, and none was withdrawn before a
// worker ran.
func checkWithdrawn(t *testing.T, b *broker, gone map[int]withdrawn) (late []string) {
	t.Helper()
	for _, w := range gone {
		id := w.order.trade.TradeID
		events := b.events(id)
		at := func(of capture.EventType) int {
			return slices.IndexFunc(events, func(e capture.Event) bool { return e.Type == of })
		}
		state := capture.Fold(events)
		called, taken := at(capture.Attempted) >= 0, state.Phase == capture.PhaseCaptured
		switch {
		case w.when == 0 && called:
			t.Errorf("%s was withdrawn before its job, and is called for: %v", id, events)
		case taken && !called:
			t.Errorf("%s is captured without a call of ours", id)
		case taken && at(capture.Withdrawn) >= 0 && at(capture.Withdrawn) < at(capture.Attempted):
			t.Errorf("%s is captured by a call that was announced after its withdrawal", id)
		case !taken && at(capture.Withdrawn) < 0:
			t.Errorf("%s is not captured, and its ledger has no withdrawal: %v", id, events)
		}
		if taken {
			late = append(late, id)
		}
	}
	return late
}

// saysTooLate asks the command about the trades whose withdrawal came too late.
func saysTooLate(t *testing.T, env, late []string) {
	t.Helper()
	if len(late) == 0 {
		t.Error("no withdrawal came too late: all came before the calls")
		return
	}
	args := append([]string{"withdraw", "--reason", "returned", "--by", "e2e"}, late...)
	code, out := processtest.Finish(t, patience, "withdraw", env, workerProgram, args...)
	if code != 3 {
		t.Errorf("exit code %d, want 3: %s", code, out)
	}
	for _, id := range late {
		if !strings.Contains(out, id+"  too late: captured ") {
			t.Errorf("the answer does not say that %s was captured", id)
		}
	}
}
