package passedover_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/passedover"
	"github.com/capture-worker/capture-worker/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logged is one line of the log.
type logged struct {
	Level, Msg string
	Messages   int
	WithTrade  int `json:"with_trade"`
	Conditions []string
	TradeID    string `json:"trade_id"`
	Sequence   uint64
	Suppressed int
	Share      float64
	Before     float64 `json:"share_before"`
}

// world is a running watch in simulated time.
type world struct {
	t      *testing.T
	watch  *passedover.Watch
	mu     sync.Mutex // guards what follows
	log    bytes.Buffer
	stored []controls.PassedOver
	broken bool
	stop   func()
}

func start(t *testing.T) *world {
	w := &world{t: t}
	w.watch = passedover.New(func(_ context.Context, more []controls.PassedOver) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.broken {
			return errors.New("no broker")
		}
		w.stored = append(w.stored, more...)
		return nil
	}, slog.New(slog.NewJSONHandler(w, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.watch.Run(ctx); close(done) }()
	w.stop = func() { cancel(); <-done }
	return w
}

// Write is the log's.
func (w *world) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

// lines returns what was logged since the last call.
func (w *world) lines() []logged {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []logged
	for dec := json.NewDecoder(&w.log); dec.More(); {
		var l logged
		if err := dec.Decode(&l); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

// one returns the only line.
func (w *world) one() logged {
	w.t.Helper()
	all := w.lines()
	if len(all) != 1 {
		w.t.Fatalf("%d lines: %+v", len(all), all)
	}
	return all[0]
}

func (w *world) taken(n int) {
	for range n {
		w.watch.Observe(worker.Disposition{Do: worker.Ack})
	}
}

func (w *world) passed(n int, trade string, why capture.MatchError) {
	for i := range n {
		w.watch.Observe(worker.Disposition{Do: worker.Ack, Reason: worker.NotSelected, PassedOver: &controls.PassedOver{
			Stream: "ORDERS", Sequence: uint64(i + 1), TradeID: trade, Why: why,
		}})
	}
}

var (
	typo     = capture.MatchError{Path: "payment.method", Want: []string{"card"}, Found: `"Card"`, Case: true}
	absent   = capture.MatchError{Path: "kind", Want: []string{"shipped"}, Missing: true}
	expected = capture.MatchError{Path: "kind", Want: []string{"shipped"}, Found: `"packed"`, Expected: true}
)

func TestOneSummaryAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		w.passed(1, "", absent)
		if l := w.one(); l.Level != "INFO" || l.Messages != 1 || l.Conditions[0] != "kind: member missing: 1" {
			t.Errorf("the first: %+v", l)
		}
		w.passed(3, "", absent)
		w.passed(2, "", expected)
		w.passed(1, "T-1", expected)
		if all := w.lines(); len(all) > 0 {
			t.Errorf("within the hour: %+v", all)
		}
		time.Sleep(2 * time.Hour) // no further message has to come
		l := w.one()
		if l.Messages != 6 || l.WithTrade != 0 || len(l.Conditions) != 2 || l.Conditions[0] != "kind: an expected value: 3" || l.Conditions[1] != "kind: member missing: 3" {
			t.Errorf("after an hour: %+v", l)
		}
		w.passed(1, "", absent)
		w.lines()
		w.passed(1, "", absent)
		w.stop()
		if l := w.one(); l.Messages != 1 {
			t.Errorf("at the end: %+v", l)
		}
	})
}

func TestATradeIsWarnedOfAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		defer w.stop()
		w.passed(5, "T-1", typo)
		all := w.lines()
		if len(all) != 2 || all[0].Level != "WARN" || all[0].TradeID != "T-1" || all[0].Sequence != 1 || all[1].WithTrade != 1 {
			t.Fatalf("%+v", all)
		}
		w.passed(1, "T-2", absent) // another condition is not held back by the first
		if l := w.one(); l.Level != "WARN" || l.TradeID != "T-2" {
			t.Errorf("%+v", l)
		}
		time.Sleep(time.Minute)
		w.passed(1, "T-3", typo)
		if l := w.one(); l.TradeID != "T-3" || l.Suppressed != 4 {
			t.Errorf("%+v", l)
		}
	})
}

// A withdrawal often names an order alone.
func TestAWithdrawalOfAnOrderIsWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		defer w.stop()
		w.watch.Withdrawal(controls.PassedOver{Stream: "CAPTURE_WITHDRAWALS", Sequence: 7, OrderID: "A-1", Why: typo})
		if all := w.lines(); len(all) != 2 || all[0].Level != "WARN" || all[0].Sequence != 7 {
			t.Errorf("%+v", all)
		}
	})
}

func TestAJumpOfTheShareIsWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		defer w.stop()
		window := func(taken, passed int, why capture.MatchError) []logged {
			w.passed(passed, "", why)
			w.lines()
			w.taken(taken)
			time.Sleep(5*time.Minute + time.Second)
			var jumps []logged
			for _, l := range w.lines() {
				if l.Level == "WARN" {
					jumps = append(jumps, l)
				}
			}
			return jumps
		}
		for name, jumps := range map[string][]logged{
			"some are passed over from the start": window(40, 60, absent),
			"as usual":                            window(40, 60, absent),
			"few messages":                        window(0, 19, absent),
			"expected ones":                       window(0, 100, expected),
		} {
			if len(jumps) > 0 {
				t.Errorf("%s: %+v", name, jumps)
			}
		}
		for range 10 {
			window(100, 0, absent)
		}
		if jumps := window(50, 50, absent); len(jumps) != 1 || jumps[0].Share != 0.5 || jumps[0].Before > 0.1 {
			t.Errorf("a jump: %+v", jumps)
		}
	})
}

// A mistyped condition takes nothing from the first message on.
func TestNothingTakenFromTheStartIsAJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		defer w.stop()
		w.passed(20, "", absent)
		w.lines()
		time.Sleep(6 * time.Minute)
		if l := w.one(); l.Level != "WARN" || l.Share != 1 {
			t.Errorf("%+v", l)
		}
	})
}

func TestTheSampleIsBoundedAndStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		w.passed(50, "", absent)
		w.passed(50, "T-1", typo)
		w.passed(50, "T-1", expected)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if len(w.stored) != 20 {
			t.Errorf("%d are stored, want ten of each unexpected kind", len(w.stored))
		}
		time.Sleep(6 * time.Minute)
		w.broken = true
		w.passed(3, "", absent)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(w.stored) != 20 {
			t.Errorf("%d are stored", len(w.stored))
		}
		w.broken = false
		w.stop()
		if len(w.stored) != 23 {
			t.Errorf("%d are stored after all, want 23: what failed is tried again", len(w.stored))
		}
	})
}
