package reconcile_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/reconcile"
)

// fail writes a failed outcome for a job without a call.
func (d *fixture) fail(job capture.Job, reason string) {
	d.t.Helper()
	trade, err := d.recorder.Open(d.t.Context(), job.TradeID)
	if err == nil {
		_, err = d.recorder.Record(d.t.Context(), trade, &capture.Event{
			Type: capture.Failed, Reason: reason, Job: &job, OrderID: job.OrderID,
			Amount: job.Amount.Number(), Currency: job.Amount.Currency(),
		})
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *fixture) write(id string, e *capture.Event) {
	d.t.Helper()
	trade, err := d.recorder.Open(d.t.Context(), id)
	if err == nil {
		_, err = d.recorder.Record(d.t.Context(), trade, e)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *fixture) job(id string) capture.Job {
	return capture.Job{TradeID: id, Amount: euros(d.t, "24.90"), OrderID: "A-" + id, Description: "x"}
}

func (d *fixture) retrier() *reconcile.Releaser {
	r := d.releaser()
	r.Retry = true
	return r
}

func TestRetryByWhatOrderQuerySays(t *testing.T) {
	t.Parallel()
	sum := euros(t, "24.90")
	for name, tt := range map[string]struct {
		answer capture.Answer
		fate   reconcile.ReleaseResult
		events string
	}{
		"authorized":     {saw(capture.OrderAuthorized, sum), reconcile.ResultRetried, "failed queried retried"},
		"paid":           {saw(capture.OrderPaid, sum), reconcile.ResultSettled, "failed captured"},
		"paid otherwise": {saw(capture.OrderPaid, euros(t, "9.00")), reconcile.ResultRefused, "failed parked"},
		"expired":        {saw(capture.OrderExpired, sum), reconcile.ResultRefused, "failed queried"},
		"pending":        {saw(capture.OrderPending, sum), reconcile.ResultRefused, "failed queried"},
		"no such trade":  {capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeTradeID}, reconcile.ResultRefused, "failed queried"},
		"a timeout":      {capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout"}, reconcile.ResultRefused, "failed queried"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newFixture(t)
			d.fail(d.job("T1"), capture.ReasonTradeIncorrect)
			d.answer["T1"] = tt.answer
			d.sendBack(d.retrier(), "failed", tt.fate, tt.events)
		})
	}
}

// What retry writes says who and why, be it the retry or what the query proved.
func TestRetrySaysWhoAndWhy(t *testing.T) {
	t.Parallel()
	for state, want := range map[capture.OrderState]capture.EventType{
		capture.OrderAuthorized: capture.Retried, capture.OrderPaid: capture.Captured,
	} {
		d := newFixture(t)
		d.fail(d.job("T1"), capture.ReasonTradeIncorrect)
		d.answer["T1"] = saw(state, euros(t, "24.90"))
		if _, err := d.retrier().Release(t.Context(), "T1"); err != nil {
			t.Fatal(err)
		}
		trade, _ := d.book.Load(t.Context(), "T1")
		last := trade.Events[len(trade.Events)-1]
		if last.Type != want || last.By != "ann" || last.Note != "the gateway is back" {
			t.Errorf("%s: the last event is %+v", state, last)
		}
	}
}

func TestRetryRefusesWhatHasNotFailed(t *testing.T) {
	t.Parallel()
	d := newFixture(t, "parked")
	for _, id := range []string{"parked", "unknown"} {
		done, err := d.retrier().Release(t.Context(), id)
		if err != nil || done.Result != reconcile.ResultRefused || d.asked != 0 {
			t.Errorf("%s: %s (%s), %v, asked %d times", id, done.Result, done.Why, err, d.asked)
		}
	}
	none := &reconcile.NotFailedError{TradeID: "parked", Phase: capture.PhaseParked, Known: true}
	if !strings.Contains(none.Error(), "parked release parked") {
		t.Errorf("says %v", none)
	}
}

// An operator may give a new time, not more than the authorization has.
func TestRetryPastTheDeadline(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, tt := range map[string]struct {
		authorized, until, given time.Time
		fate                     reconcile.ReleaseResult
	}{
		"its time is over":       {time.Time{}, now.Add(-time.Hour), time.Time{}, reconcile.ResultRefused},
		"a new time":             {now.Add(-72 * time.Hour), now.Add(-time.Hour), now.Add(time.Hour), reconcile.ResultRetried},
		"a new time that is old": {time.Time{}, now.Add(-time.Hour), now.Add(-time.Minute), reconcile.ResultRefused},
		"beyond the window":      {now.Add(-31 * 24 * time.Hour), time.Time{}, now.Add(time.Hour), reconcile.ResultRefused},
	} {
		d := newFixture(t)
		job := d.job("T1")
		job.AuthorizedAt, job.CaptureBefore = tt.authorized, tt.until
		d.fail(job, capture.ReasonWindowExceeded)
		r := d.retrier()
		r.Before = tt.given
		done, err := r.Release(t.Context(), "T1")
		if err != nil || done.Result != tt.fate {
			t.Errorf("%s: %s (%s), %v; want %s", name, done.Result, done.Why, err, tt.fate)
			continue
		}
		trade, _ := d.book.Load(t.Context(), "T1")
		last := trade.Events[len(trade.Events)-1]
		if wrote := last.Type == capture.Retried && last.Job != nil && last.Job.CaptureBefore.Equal(tt.given); wrote != (tt.fate == reconcile.ResultRetried) {
			t.Errorf("%s: the last event is %+v", name, last)
		}
	}
}

// Nothing but a retry reopens a withdrawn trade, be it failed by now or not.
func TestRetryReopensAWithdrawnTrade(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		failed, job bool
		events      string
	}{
		"and failed":         {true, true, "failed withdrawn queried retried"},
		"before its job":     {false, false, "withdrawn retried"},
		"and not failed yet": {false, true, "queried withdrawn failed retried"},
	} {
		d := newFixture(t)
		job := d.job("T1")
		switch {
		case tt.failed:
			d.fail(job, capture.ReasonWithdrawn)
		case tt.job:
			d.write("T1", &capture.Event{Type: capture.Queried, Via: capture.ViaQuery, Answer: &capture.Answer{Kind: capture.AnswerUnknown}, Job: &job})
		}
		d.write("T1", &capture.Event{Type: capture.Withdrawn})
		done, err := d.retrier().Release(t.Context(), "T1")
		if err != nil || done.Result != reconcile.ResultRetried || d.types("T1") != tt.events || len(d.published) == 1 != tt.job {
			t.Errorf("%s: %s (%s), %v; the ledger holds %s, published %v", name, done.Result, done.Why, err, d.types("T1"), d.published)
		}
		if trade, _ := d.recorder.Open(t.Context(), "T1"); trade.State.Withdrawn || trade.State.Outcome != nil {
			t.Errorf("%s: the trade is not open: %+v", name, trade.State)
		}
	}
}

// A job that is withdrawn after a retry needs another one.
func TestRetryThenWithdrawn(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.fail(d.job("T1"), capture.ReasonTradeIncorrect)
	for _, e := range []capture.EventType{capture.Retried, capture.Withdrawn} {
		d.write("T1", &capture.Event{Type: e, By: "ann"})
	}
	if done, err := d.retrier().Release(t.Context(), "T1"); err != nil || done.Result != reconcile.ResultRetried {
		t.Errorf("%s (%s), %v", done.Result, done.Why, err)
	}
}

// The event is written and the job is not published: again publishes it, with
// the same id and without another event.
func TestRetryAgainFinishesWhatWasCutShort(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.fail(d.job("T1"), capture.ReasonTradeIncorrect)
	d.refuse = errors.New("no answer")
	_, err := d.retrier().Release(t.Context(), "T1")
	if failed, ok := errors.AsType[*reconcile.PublishError](err); !ok || !failed.Retry {
		t.Fatalf("got %v, want a publish error", err)
	}
	d.refuse = nil
	done, err := d.retrier().Release(t.Context(), "T1")
	if err != nil || done.Result != reconcile.ResultRepublished || len(d.published) != 1 || d.types("T1") != "failed queried retried" {
		t.Errorf("again: %s (%s), %v; published %v; the ledger holds %s", done.Result, done.Why, err, d.published, d.types("T1"))
	}
}

// A trade in the form of a UUID is one in any letter case; the gateway is asked
// as the job wrote it.
func TestRetryFindsATradeInAnyLetterCase(t *testing.T) {
	t.Parallel()
	const written = "160899F3-f6d9-a8d8-ab5b-82eacdab9c5b"
	d := newFixture(t)
	d.fail(d.job(written), capture.ReasonTradeIncorrect)
	d.answer[written] = saw(capture.OrderAuthorized, euros(t, "24.90"))
	d.answer[capture.TradeKey(written)] = capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeTradeID}
	done, err := d.retrier().Release(t.Context(), strings.ToUpper(written))
	if err != nil || done.Result != reconcile.ResultRetried || done.TradeID != capture.TradeKey(written) {
		t.Errorf("%s %s (%s), %v", done.TradeID, done.Result, done.Why, err)
	}
}

func TestFailedTradesAreSelected(t *testing.T) {
	t.Parallel()
	d := newFixture(t, "parked")
	d.fail(d.job("T1"), capture.ReasonTradeIncorrect)
	d.fail(d.job("T2"), capture.ReasonWindowExceeded)
	count := func(f reconcile.ParkedFilter) (n int) {
		for _, err := range d.recorder.Failed(t.Context(), f) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	all, one := count(reconcile.ParkedFilter{}), count(reconcile.ParkedFilter{Reason: capture.ReasonTradeIncorrect, Since: time.Now().Add(-time.Hour)})
	if late := count(reconcile.ParkedFilter{Since: time.Now().Add(time.Hour)}); all != 2 || one != 1 || late != 0 {
		t.Errorf("selected %d, %d and %d; want 2, 1 and 0", all, one, late)
	}
}
