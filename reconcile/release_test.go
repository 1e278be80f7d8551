package reconcile_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/ledger"
	"github.com/capture-worker/capture-worker/reconcile"
)

// fixture is a ledger with parked trades, a gateway that answers as configured,
// and a queue of published jobs.
type fixture struct {
	t         *testing.T
	book      *ledger.Memory
	recorder  *reconcile.Recorder
	answer    map[string]capture.Answer // by trade; authorized if there is none
	asked     int
	published []string // ids
	refuse    error    // of publishing
	onPublish func(trade string)
}

func newFixture(t *testing.T, trades ...string) *fixture {
	t.Helper()
	d := &fixture{t: t, book: &ledger.Memory{}, answer: map[string]capture.Answer{}}
	ids := 0
	d.recorder = &reconcile.Recorder{
		Ledger: d.book, Worker: "w", Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Policy: capture.Policy{Settle: 45 * time.Second, Agree: 2, Spacing: 5 * time.Second, GiveUpAfter: 72 * time.Hour},
		NewID:  func() string { ids++; return "E" + strconv.Itoa(ids) },
	}
	for _, id := range trades {
		d.park(id, capture.Job{TradeID: id, Amount: euros(t, "24.90"), OrderID: "A-" + id, Description: "x"})
	}
	return d
}

func euros(t *testing.T, number string) capture.Amount {
	t.Helper()
	a, err := capture.ParseAmount(number, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (d *fixture) park(id string, job capture.Job) {
	d.t.Helper()
	trade, err := d.recorder.Open(d.t.Context(), id)
	if err == nil {
		_, err = d.recorder.Record(d.t.Context(), trade, &capture.Event{
			Type: capture.Parked, Reason: capture.ReasonUnresolved, Job: &job, OrderID: job.OrderID,
			Amount: job.Amount.Number(), Currency: job.Amount.Currency(),
		})
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *fixture) releaser() *reconcile.Releaser {
	return &reconcile.Releaser{
		Recorder: d.recorder, By: "ann", Note: "the gateway is back",
		Query: func(_ context.Context, id string) capture.Answer {
			d.asked++
			if a, ok := d.answer[id]; ok {
				return a
			}
			return saw(capture.OrderAuthorized, euros(d.t, "30.00"))
		},
		Publish: func(_ context.Context, job capture.Job, id string) error {
			if d.refuse != nil {
				return d.refuse
			}
			d.published = append(d.published, id)
			if d.onPublish != nil {
				d.onPublish(job.TradeID)
			}
			return nil
		},
	}
}

func saw(s capture.OrderState, a capture.Amount) capture.Answer {
	return capture.Answer{Kind: capture.AnswerDone, Code: capture.CodeSuccess, Order: &capture.Order{State: s, Amount: a}}
}

func (d *fixture) types(id string) string {
	d.t.Helper()
	trade, err := d.book.Load(d.t.Context(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	var all []string
	for _, e := range trade.Events {
		all = append(all, string(e.Type))
	}
	return strings.Join(all, " ")
}

func TestReleaseByWhatOrderQuerySays(t *testing.T) {
	t.Parallel()
	sum := euros(t, "24.90")
	for name, tt := range map[string]struct {
		answer capture.Answer
		fate   reconcile.ReleaseResult
		events string
	}{
		"authorized":     {saw(capture.OrderAuthorized, sum), reconcile.ResultReleased, "parked queried released"},
		"paid":           {saw(capture.OrderPaid, sum), reconcile.ResultSettled, "parked captured"},
		"paid otherwise": {saw(capture.OrderPaid, euros(t, "9.00")), reconcile.ResultRefused, "parked queried"},
		"cancelled":      {saw(capture.OrderCancelled, sum), reconcile.ResultSettled, "parked failed"},
		"pending":        {saw(capture.OrderPending, sum), reconcile.ResultRefused, "parked queried"},
		"refunded":       {saw(capture.OrderRefunded, sum), reconcile.ResultRefused, "parked queried"},
		"a strange word": {saw("frozen", sum), reconcile.ResultRefused, "parked queried"},
		"no such trade":  {capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeTradeID}, reconcile.ResultRefused, "parked queried"},
		"a timeout":      {capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout"}, reconcile.ResultRefused, "parked queried"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newFixture(t, "T1")
			d.answer["T1"] = tt.answer
			d.sendBack(d.releaser(), "parked", tt.fate, tt.events)
		})
	}
}

// sendBack previews and makes the release of T1, which is in the given phase. A
// preview writes nothing, and a job is published only if the trade is sent back.
func (d *fixture) sendBack(r *reconcile.Releaser, phase string, want reconcile.ReleaseResult, events string) {
	d.t.Helper()
	preview, err := r.Preview(d.t.Context(), "T1")
	if err != nil || preview.Result != want {
		d.t.Errorf("preview: %s (%s), %v; want %s", preview.Result, preview.Why, err, want)
	}
	if got := d.types("T1"); got != phase {
		d.t.Errorf("the preview has written: %s", got)
	}
	done, err := r.Release(d.t.Context(), "T1")
	if err != nil || done.Result != want || done.Why == "" {
		d.t.Errorf("%s (%s), %v; want %s", done.Result, done.Why, err, want)
	}
	if got := d.types("T1"); got != events {
		d.t.Errorf("the ledger holds %q, want %q", got, events)
	}
	if published := len(d.published) == 1; published != want.SentBack() {
		d.t.Errorf("published %v", d.published)
	}
}

func TestReleaseSaysWhoAndWhy(t *testing.T) {
	t.Parallel()
	d := newFixture(t, "T1")
	if _, err := d.releaser().Release(t.Context(), "T1"); err != nil {
		t.Fatal(err)
	}
	trade, _ := d.book.Load(t.Context(), "T1")
	last := trade.Events[len(trade.Events)-1]
	if last.Type != capture.Released || last.By != "ann" || last.Note != "the gateway is back" {
		t.Errorf("the last event is %+v", last)
	}
}

// The outcome that the query of a release proves says who asked, and why.
func TestReleaseThatSettlesSaysWhoAndWhy(t *testing.T) {
	t.Parallel()
	for state, want := range map[capture.OrderState]capture.EventType{
		capture.OrderPaid: capture.Captured, capture.OrderExpired: capture.Failed,
	} {
		d := newFixture(t, "T1")
		d.answer["T1"] = saw(state, euros(t, "24.90"))
		if _, err := d.releaser().Release(t.Context(), "T1"); err != nil {
			t.Fatal(err)
		}
		trade, _ := d.book.Load(t.Context(), "T1")
		last := trade.Events[len(trade.Events)-1]
		if last.Type != want || last.By != "ann" || last.Note != "the gateway is back" || last.Corrects == "" {
			t.Errorf("%s: the last event is %+v", state, last)
		}
	}
}

func TestReleaseIsRefusedPastTheDeadlineAndWhereNothingIsParked(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.park("late", capture.Job{TradeID: "late", Amount: euros(t, "5.00"), CaptureBefore: time.Now().Add(-time.Hour)})
	done, err := d.releaser().Release(t.Context(), "late")
	if err != nil || done.Result == reconcile.ResultReleased || len(d.published) > 0 {
		t.Errorf("past the deadline: %s (%s), %v", done.Result, done.Why, err)
	}
	done, err = d.releaser().Release(t.Context(), "unknown")
	if err != nil || done.Result != reconcile.ResultRefused || !strings.Contains(done.Why, "does not know it") {
		t.Errorf("an unknown trade: %s (%s), %v", done.Result, done.Why, err)
	}
}

func TestReleaseStopsAtAFaultOfOurs(t *testing.T) {
	t.Parallel()
	d := newFixture(t, "T1")
	d.answer["T1"] = capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeSignature}
	_, err := d.releaser().Release(t.Context(), "T1")
	if _, ok := errors.AsType[*reconcile.HaltError](err); !ok {
		t.Errorf("got %v, want a halt", err)
	}
}

// The job is not published, or it is and that is reported as failed: releasing again
// finishes the work, with the same id and without another event.
func TestReleaseAgainFinishesWhatWasCutShort(t *testing.T) {
	t.Parallel()
	d := newFixture(t, "T1")
	d.refuse = errors.New("no answer")
	_, err := d.releaser().Release(t.Context(), "T1")
	if failed, ok := errors.AsType[*reconcile.PublishError](err); !ok || failed.TradeID != "T1" {
		t.Fatalf("got %v, want a publish error", err)
	}
	if d.types("T1") != "parked queried released" {
		t.Fatalf("the ledger holds %s", d.types("T1"))
	}
	d.refuse = nil
	asked := d.asked
	for range 2 {
		done, err := d.releaser().Release(t.Context(), "T1")
		if err != nil || done.Result != reconcile.ResultRepublished {
			t.Errorf("again: %s (%s), %v", done.Result, done.Why, err)
		}
	}
	if d.asked != asked || d.types("T1") != "parked queried released" {
		t.Errorf("asked %d times more, the ledger holds %s", d.asked-asked, d.types("T1"))
	}
	if len(d.published) != 2 || d.published[0] != d.published[1] {
		t.Errorf("published as %v, want one id twice", d.published)
	}
}

func TestDismiss(t *testing.T) {
	t.Parallel()
	d := newFixture(t, "T1", "T2")
	for range 2 { // the second changes nothing
		if err := d.recorder.Dismiss(t.Context(), "T1", "ann", "settled by hand"); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.types("T1"); got != "parked dismissed" {
		t.Errorf("the ledger holds %s", got)
	}
	count := func(f reconcile.ParkedFilter) (n int) {
		for _, err := range d.recorder.Parked(t.Context(), ledger.TradesWith(t.Context(), d.recorder.Ledger, capture.Parked), f) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	if plain, all := count(reconcile.ParkedFilter{}), count(reconcile.ParkedFilter{Dismissed: true}); plain != 1 || all != 2 {
		t.Errorf("%d listed, %d with the dismissed; want 1 and 2", plain, all)
	}
	var none *reconcile.NotParkedError
	if err := d.recorder.Dismiss(t.Context(), "T3", "ann", "x"); !errors.As(err, &none) || none.Known {
		t.Errorf("an unknown trade: %v", err)
	}
	// What was settled by hand is not captured too, unless the operator insists.
	if done, err := d.releaser().Release(t.Context(), "T1"); err != nil || done.Result != reconcile.ResultRefused || !strings.Contains(done.Why, "closed its case") {
		t.Errorf("a dismissed trade: %s (%s), %v", done.Result, done.Why, err)
	}
	insists := d.releaser()
	insists.Dismissed = true
	if done, err := insists.Preview(t.Context(), "T1"); err != nil || done.Result != reconcile.ResultReleased {
		t.Errorf("a dismissed trade, for all that: %s (%s), %v", done.Result, done.Why, err)
	}
	// The truth still corrects it.
	d.answer["T1"] = saw(capture.OrderPaid, euros(t, "24.90"))
	if done, err := d.releaser().Release(t.Context(), "T1"); err != nil || done.Result != reconcile.ResultSettled {
		t.Errorf("paid after all: %s, %v", done.Result, err)
	}
}

// An open trade needs no release: the result says that work continues.
func TestNotParkedSaysWhatIsGoingOn(t *testing.T) {
	t.Parallel()
	for phase, want := range map[capture.Phase]string{
		capture.PhaseNew: "open", capture.PhaseCalling: "open", capture.PhaseAnswered: "open",
		capture.PhaseCaptured: "it is captured", capture.PhaseFailed: "it is failed",
	} {
		got := (&reconcile.NotParkedError{TradeID: "T1", Phase: phase, Known: true}).Error()
		if !strings.Contains(got, "T1 is not parked") || !strings.Contains(got, want) || strings.Contains(got, "worker") != (want == "open") {
			t.Errorf("%s: %s", phase, got)
		}
	}
}

// An operator closes the case while the gateway is being asked.
func TestDismissedWhileTheGatewayIsAsked(t *testing.T) {
	t.Parallel()
	d := newFixture(t, "T1")
	r := d.releaser()
	asks := r.Query
	r.Query = func(ctx context.Context, id string) capture.Answer {
		if err := d.recorder.Dismiss(ctx, id, "bob", "refunded by hand"); err != nil {
			t.Error(err)
		}
		return asks(ctx, id)
	}
	done, err := r.Release(t.Context(), "T1")
	if err != nil || done.Result != reconcile.ResultRefused || len(d.published) != 0 {
		t.Errorf("%s (%s), %v; the ledger holds %s, published %v", done.Result, done.Why, err, d.types("T1"), d.published)
	}
}

func TestParkedFilter(t *testing.T) {
	t.Parallel()
	now := time.Now()
	trade := reconcile.ParkedTrade{Reason: "unresolved", Amount: euros(t, "24.90"), Since: now.Add(-time.Hour)}
	for name, tt := range map[string]struct {
		f    reconcile.ParkedFilter
		want bool
	}{
		"all":            {reconcile.ParkedFilter{}, true},
		"reason":         {reconcile.ParkedFilter{Reason: "unresolved"}, true},
		"other reason":   {reconcile.ParkedFilter{Reason: "refunded"}, false},
		"old enough":     {reconcile.ParkedFilter{OlderThan: time.Hour}, true},
		"too young":      {reconcile.ParkedFilter{OlderThan: time.Hour + 1}, false},
		"other currency": {reconcile.ParkedFilter{Currency: "CHF"}, false},
		"from":           {reconcile.ParkedFilter{Min: euros(t, "24.90")}, true},
		"above":          {reconcile.ParkedFilter{Min: euros(t, "24.91")}, false},
		"up to":          {reconcile.ParkedFilter{Max: euros(t, "24.90")}, true},
		"below":          {reconcile.ParkedFilter{Max: euros(t, "3.00")}, false},
	} {
		if got := tt.f.Matches(trade, now); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
}

func (d *fixture) rollOut(canary int, trades ...string) (released int, err error) {
	rollout := reconcile.Rollout{Releaser: d.releaser(), Canary: canary, Rate: 10, Timeout: time.Minute}
	for done, failed := range rollout.Run(d.t.Context(), trades) {
		if err = failed; err == nil && done.Result == reconcile.ResultReleased {
			released++
		}
	}
	return released, err
}

func TestRolloutWaitsForItsCanaries(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end      capture.EventType // of each canary, "" for none
		released int
		err      error
	}{
		"they end well":         {capture.Captured, 4, nil},
		"they fail for sure":    {capture.Failed, 4, nil},
		"one is parked again":   {capture.Parked, 2, reconcile.ErrCanary},
		"nothing becomes of it": {"", 2, reconcile.ErrCanary},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newFixture(t, "T1", "T2", "T3", "T4")
				d.onPublish = func(id string) {
					if tt.end == "" {
						return
					}
					time.AfterFunc(3*time.Second, func() {
						trade, _ := d.recorder.Open(t.Context(), id)
						_, err := d.recorder.Record(t.Context(), trade, &capture.Event{Type: tt.end, Reason: "unresolved", Amount: "24.90", Currency: "EUR"})
						if err != nil {
							t.Error(err)
						}
					})
				}
				begin := time.Now()
				released, err := d.rollOut(2, "T1", "T2", "T3", "T4")
				if released != tt.released || !errors.Is(err, tt.err) {
					t.Errorf("released %d, %v; want %d, %v", released, err, tt.released, tt.err)
				}
				if waited := time.Since(begin); waited < 3*time.Second {
					t.Errorf("waited %s only", waited)
				}
				time.Sleep(5 * time.Second) // the last ones end
			})
		})
	}
}

func TestRolloutOfTheCanariesAloneWaitsForNobody(t *testing.T) {
	t.Parallel()
	d := newFixture(t, "T1", "T2")
	if released, err := d.rollOut(2, "T1", "T2"); released != 2 || err != nil {
		t.Errorf("released %d, %v", released, err)
	}
}

func TestMoneyIsAddedUpPerCurrency(t *testing.T) {
	t.Parallel()
	var m reconcile.Money
	chf, _ := capture.ParseAmount("1.10", "CHF")
	for _, a := range []capture.Amount{euros(t, "0.10"), euros(t, "0.20"), chf, {}} {
		m.Add(a)
	}
	var got []string
	for _, s := range m.Sums() {
		got = append(got, s.String())
	}
	if want := "1.10 CHF in 1 trade; 0.30 EUR in 2 trades"; strings.Join(got, "; ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
