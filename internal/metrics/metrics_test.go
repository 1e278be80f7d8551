package metrics_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/internal/metrics"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/worker"
)

var began = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// read returns the series as Prometheus reads them, one per line.
func read(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func wantSeries(t *testing.T, text string, series ...string) {
	t.Helper()
	for _, s := range series {
		if !strings.Contains(text, s+"\n") {
			t.Errorf("missing: %s", s)
		}
	}
}

// All series exist from the start: an alert on a series that appears with the
// first fault would miss that fault.
func TestSeriesExistFromTheStart(t *testing.T) {
	t.Parallel()
	text := read(t, metrics.New("v1", time.Now))
	wantSeries(t, text,
		`capture_build_info{version="v1"} 1`,
		`capture_deliveries_total{reason="",verb="ack"} 0`,
		`capture_deliveries_total{reason="conflict",verb="dead-letter"} 0`,
		`capture_outcomes_total{outcome="captured",reason=""} 0`,
		`capture_outcomes_total{outcome="failed",reason="expired"} 0`,
		`capture_outcomes_total{outcome="parked",reason="unresolved"} 0`,
		`capture_gateway_call_seconds_count{answer="not_sent",method="capture"} 0`,
		`capture_gateway_call_seconds_count{answer="done",method="query"} 0`,
		`capture_gateway_codes_total{code="-403",method="query"} 0`,
		`capture_ledger_append_seconds_count{result="conflict"} 0`,
		`capture_events_total{type="notified"} 0`,
		`capture_unsettled_oldest_timestamp_seconds 0`,
		`capture_unsettled_trades 0`,
	)
}

// fixedGateway is a gateway with configured answers.
type fixedGateway struct{ capture.Answer }

func (g fixedGateway) Capture(context.Context, gateway.CaptureRequest) capture.Answer {
	return g.Answer
}
func (g fixedGateway) Query(context.Context, string) capture.Answer { return g.Answer }

func TestCallLabelsAreBounded(t *testing.T) {
	t.Parallel()
	m := metrics.New("v1", time.Now)
	for i := range 100 {
		a := capture.Answer{Kind: capture.AnswerUnknown, Code: fmt.Sprint(-9000 - i)}
		m.Gateway(fixedGateway{a}).Capture(t.Context(), gateway.CaptureRequest{})
	}
	m.Gateway(fixedGateway{capture.Answer{Kind: capture.AnswerDone, Code: capture.CodeSuccess}}).Query(t.Context(), "T1")
	text := read(t, m)
	wantSeries(t, text,
		`capture_gateway_codes_total{code="other",method="capture"} 100`,
		`capture_gateway_codes_total{code="200",method="query"} 1`,
		`capture_gateway_call_seconds_count{answer="unknown",method="capture"} 100`,
	)
	if strings.Contains(text, "-9042") || strings.Contains(text, "T1") {
		t.Error("a label contains a text of the gateway or of a publisher")
	}
}

func job(t *testing.T, trade string) *capture.Job {
	t.Helper()
	a, err := capture.ParseAmount("24.99", "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return &capture.Job{TradeID: trade, Amount: a, AuthorizedAt: began}
}

func attempted(t *testing.T, trade string, at time.Time) capture.Event {
	return capture.Event{ID: trade + "-1", Type: capture.Attempted, TradeID: trade, Time: at, Job: job(t, trade)}
}

func TestEventsMoneyAndUnsettledTrades(t *testing.T) {
	t.Parallel()
	m := metrics.New("v1", func() time.Time { return began })
	l := m.Ledger(&ledger.Memory{}, nil)
	add := func(e capture.Event, after uint64) {
		if _, err := l.Append(t.Context(), e, after); err != nil {
			t.Fatal(err)
		}
	}
	add(attempted(t, "T1", began.Add(time.Hour)), 0)
	add(attempted(t, "T2", began.Add(2*time.Hour)), 0)
	other := attempted(t, "T2", began)
	other.ID = "of-another-worker"
	if _, err := l.Append(t.Context(), other, 0); err == nil {
		t.Fatal("no conflict")
	}
	text := read(t, m)
	deadline := began.Add(capture.AuthorizationWindow).Unix()
	wantSeries(t, text,
		`capture_unsettled_trades 2`, `capture_unsettled_money{currency="EUR"} 49.98`,
		fmt.Sprintf("capture_unsettled_oldest_timestamp_seconds %g", float64(began.Add(time.Hour).Unix())),
		fmt.Sprintf("capture_unsettled_nearest_deadline_timestamp_seconds %g", float64(deadline)),
		`capture_ledger_append_seconds_count{result="conflict"} 1`, `capture_events_total{type="attempted"} 2`,
	)
	add(capture.Event{ID: "x", Type: capture.Captured, TradeID: "T1", Time: began, Amount: "24.99", Currency: "EUR", Corrects: "y"}, 1)
	add(capture.Event{ID: "z", Type: capture.Failed, TradeID: "T2", Time: began, Reason: "a word of the gateway's", Amount: "24.99", Currency: "EUR"}, 2)
	wantSeries(t, read(t, m),
		`capture_unsettled_trades 0`, `capture_unsettled_money{currency="EUR"} 0`, `capture_unsettled_oldest_timestamp_seconds 0`,
		`capture_outcomes_total{outcome="captured",reason=""} 1`, `capture_outcomes_total{outcome="failed",reason="other"} 1`,
		`capture_captured_money_total{currency="EUR"} 24.99`, `capture_corrections_total 1`,
	)
}

// After a restart, a redelivered job adds its unsettled trade to the gauges again.
func TestUnsettledTradesOfAnEarlierProcess(t *testing.T) {
	t.Parallel()
	shared := &ledger.Memory{}
	earlier := metrics.New("v1", time.Now).Ledger(shared, nil)
	for i, trade := range []string{"T1", "T2"} {
		if _, err := earlier.Append(t.Context(), attempted(t, trade, began), 0); err != nil {
			t.Fatal(i, err)
		}
	}
	settled := capture.Event{ID: "x", Type: capture.Captured, TradeID: "T2", Time: began, Amount: "24.99", Currency: "EUR"}
	if _, err := earlier.Append(t.Context(), settled, 2); err != nil {
		t.Fatal(err)
	}
	for _, load := range []string{"Load", "LoadLatest"} {
		m := metrics.New("v1", time.Now)
		l := m.Ledger(shared, nil)
		for _, trade := range []string{"T1", "T2", "T3"} {
			reader := l.Load
			if load == "LoadLatest" {
				reader = l.LoadLatest
			}
			if _, err := reader(t.Context(), trade); err != nil {
				t.Fatal(err)
			}
		}
		wantSeries(t, read(t, m), `capture_unsettled_trades 1`, `capture_unsettled_money{currency="EUR"} 24.99`,
			fmt.Sprintf("capture_unsettled_nearest_deadline_timestamp_seconds %g", float64(began.Add(capture.AuthorizationWindow).Unix())))
	}
}

// The reason of capture_halted is that of the last refusal.
func TestHaltReason(t *testing.T) {
	t.Parallel()
	halted := false
	m := metrics.New("v1", time.Now)
	m.Halt(func() bool { return halted })
	wantSeries(t, read(t, m), `capture_halted{reason="signature"} 0`, `capture_halted{reason="user"} 0`)
	refusal := capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeUser}
	m.Gateway(fixedGateway{refusal}).Query(t.Context(), "T1")
	halted = true
	wantSeries(t, read(t, m), `capture_halted{reason="signature"} 0`, `capture_halted{reason="user"} 1`)
	halted = false
	wantSeries(t, read(t, m), `capture_halted{reason="user"} 0`)
}

func TestBacklogOfALane(t *testing.T) {
	t.Parallel()
	m := metrics.New("v1", time.Now)
	m.Backlog("live", metrics.Backlog{Ready: 5, Delivered: 3, Redelivered: 2, Paused: true})
	wantSeries(t, read(t, m), `capture_jobs_ready{lane="live"} 5`, `capture_jobs_delivered{lane="live"} 3`,
		`capture_jobs_redelivered{lane="live"} 2`, `capture_lane_paused{lane="live"} 1`)
}

// Trades that are unsettled for longer than the limit are counted as overdue.
func TestOverdueTrades(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New("v1", time.Now)
		m.Terms(10*24*time.Hour, time.Hour)
		l := m.Ledger(&ledger.Memory{}, nil)
		sum, err := capture.ParseAmount("24.99", "EUR")
		if err != nil {
			t.Fatal(err)
		}
		job := capture.Job{TradeID: "T1", Amount: sum}
		seq, err := l.Append(t.Context(), capture.Event{ID: "E1", Type: capture.Attempted, TradeID: "T1", Time: time.Now(), Job: &job}, 0)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		wantSeries(t, read(t, m), `capture_unsettled_overdue_trades 0`, `capture_unsettled_nearest_deadline_timestamp_seconds 0`)
		made := time.Now().Add(-time.Hour)
		_, err = l.Append(t.Context(), capture.Event{ID: "E2", Type: capture.Queried, TradeID: "T1", Time: time.Now(), Answer: &capture.Answer{
			Kind: capture.AnswerDone, Order: &capture.Order{State: capture.OrderAuthorized, CreatedAt: strconv.FormatInt(made.Unix(), 10)},
		}}, seq)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		wantSeries(t, read(t, m), `capture_unsettled_overdue_trades 1`,
			fmt.Sprintf("capture_unsettled_nearest_deadline_timestamp_seconds %g", float64(made.Add(10*24*time.Hour).Unix())))
	})
}

// Sweep removes the trades that another process has settled.
func TestSweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New("v1", time.Now)
		shared := &ledger.Memory{}
		for i, trade := range []string{"T1", "T2", "T3"} {
			if _, err := m.Ledger(shared, nil).Append(t.Context(), attempted(t, trade, time.Now()), 0); err != nil {
				t.Fatal(i, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.Sweep(ctx, shared, time.Minute)
		}()
		settled := capture.Event{ID: "x", Type: capture.Captured, TradeID: "T1", Time: time.Now(), Amount: "24.99", Currency: "EUR"}
		if _, err := shared.Append(t.Context(), settled, 1); err != nil {
			t.Fatal(err)
		}
		// Events after an outcome do not make the trade unsettled again.
		after := uint64(3)
		for _, typ := range []capture.EventType{capture.Parked, capture.Notified, capture.Dismissed} {
			seq, err := shared.Append(t.Context(), capture.Event{ID: "y" + string(typ), Type: typ, TradeID: "T3", Time: time.Now()}, after)
			if err != nil {
				t.Fatal(err)
			}
			after = seq
		}
		time.Sleep(3 * time.Minute)
		cancel()
		<-done
		wantSeries(t, read(t, m), `capture_unsettled_trades 1`)
	})
}

// The conditions are the operator's; what others wrote is in no label.
func TestPassedOverIsCountedByCondition(t *testing.T) {
	t.Parallel()
	m := metrics.New("v1", time.Now)
	match := []capture.Match{{Path: "payment.method", Value: "card"}}
	for i := range 40 {
		match = append(match, capture.Match{Path: fmt.Sprintf("c%d", i), Value: "x"})
	}
	m.Conditions(match)
	text := read(t, m)
	wantSeries(t, text,
		`capture_passed_over_total{condition="payment.method",trade="yes",why="case"} 0`,
		`capture_passed_over_total{condition="other",trade="no",why="missing"} 0`,
	)
	if n := strings.Count(text, "\ncapture_passed_over_total{"); n != 31*8 {
		t.Errorf("%d series", n)
	}
	passed := func(trade string, why capture.MatchError) {
		m.Disposed(worker.Disposition{Do: worker.Ack, Reason: worker.NotSelected, PassedOver: &controls.PassedOver{TradeID: trade, Why: why}}, time.Second)
	}
	passed("T-1", capture.MatchError{Path: "payment.method", Found: `"Card"`, Case: true})
	passed("", capture.MatchError{Path: "payment.method", Found: `"cash"`, Expected: true})
	passed("", capture.MatchError{Path: "c39", Missing: true})
	wantSeries(t, read(t, m),
		`capture_passed_over_total{condition="payment.method",trade="yes",why="case"} 1`,
		`capture_passed_over_total{condition="payment.method",trade="no",why="expected"} 1`,
		`capture_passed_over_total{condition="other",trade="no",why="missing"} 1`,
		`capture_deliveries_total{reason="not_selected",verb="ack"} 3`,
	)
}
