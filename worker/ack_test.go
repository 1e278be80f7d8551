package worker_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
	"github.com/capture-worker/capture-worker/internal/controls"
	"github.com/capture-worker/capture-worker/worker"
)

// Publishers learn of captures from the ledger. Jobs without a capture are
// logged with the sequence by which they can be found.
func TestJobsThatCaptureNothingAreLogged(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Options{})
	var log bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	var mu sync.Mutex
	reasons := map[string]int{}
	var passed []controls.PassedOver
	s.observe = func(d worker.Disposition) {
		mu.Lock()
		defer mu.Unlock()
		reasons[string(d.Do)+" "+d.Reason]++
		if d.PassedOver != nil {
			passed = append(passed, *d.PassedOver)
		}
	}
	ours, err := capture.NewDecoder(capture.Mapping{Match: []capture.Match{{Path: "kind", Value: "shipped"}}})
	if err != nil {
		t.Fatal(err)
	}
	pool := s.worker(func(p *worker.Processor) { p.Jobs = ours })
	stop := s.start(pool)
	s.authorize("T1") // of no kind, so it is not selected
	s.publish(nats.Header{}, `{"kind":"shipped","trade_id":"T1","order_id":"A-1","amount":"24.99","currency":"EUR"}`)
	s.until("the first is captured", func() bool { return s.phase("T1") == capture.PhaseCaptured })
	for _, body := range []string{
		`{"kind":"shipped","trade_id":"T1","order_id":"A-2","amount":"24.99","currency":"EUR"}`,
		`{"kind":"shipped","trade_id":"T1","order_id":"A-2","amount":"20.00","currency":"EUR"}`,
		`{"kind":"cancelled","trade_id":"T1"}`,
		`{"kind":"shipped","trade_id":"T1"}`,
	} {
		s.publish(nats.Header{}, body)
	}
	s.until("all jobs done", s.drained)
	stop()
	for what, want := range map[string]int{"ack ": 2, "ack not_selected": 2, "dead-letter conflict": 1, "dead-letter missing_field": 1} {
		if reasons[what] != want {
			t.Errorf("%q %d times, want %d: %v", what, reasons[what], want, reasons)
		}
	}
	if len(passed) != 2 || passed[0].Why.Kind() != capture.MismatchMissing || passed[0].TradeID != "T1" ||
		passed[1].Why.Kind() != capture.MismatchValue || passed[1].Stream != s.streams.Jobs || passed[1].Sequence != 5 || passed[1].Published.IsZero() {
		t.Errorf("passed over: %+v", passed)
	}
	for _, want := range []string{
		`msg="job dead-lettered" reason=missing_field detail="malformed job (missing_field): amount`,
		`msg="job dead-lettered" reason=conflict detail="the job asks for 20.00 EUR, order A-2, but trade T1 is already captured for 24.99 EUR, order A-1`,
		`subject=capture.jobs.shipped sequence=4 letter=`,
		`job acked without capture: trade belongs to another order" trade_id=T1 order_id=A-2 outcome=captured outcome_order_id=A-1`,
	} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("the log has not once %q:\n%s", want, log.String())
		}
	}
}
