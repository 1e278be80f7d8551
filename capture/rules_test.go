package capture_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
)

// What follows holds rules that a reading of the tables against the design
// found broken or at risk; each test is one story.

var policy = capture.Policy{Settle: 45 * time.Second, Agree: 2, Spacing: 5 * time.Second, GiveUpAfter: 72 * time.Hour}

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

const lease = 40 * time.Second

func eur(t testing.TB, s string) capture.Amount {
	t.Helper()
	a, err := capture.ParseAmount(s, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func jobOf(t testing.TB, amount string) capture.Job {
	return capture.Job{TradeID: "T1", Amount: eur(t, amount)}
}

// book plays the shell around Decide and Judge: it keeps the ledger of one
// trade and a clock.
type book struct {
	t      testing.TB
	now    time.Time
	events []capture.Event
	minted int
}

func newBook(t testing.TB) *book { return &book{t: t, now: noon} }

func (b *book) state() capture.State { return capture.Fold(b.events) }

func (b *book) append(e capture.Event) capture.Event {
	e.ID, e.Time, e.Worker = "e"+strconv.Itoa(len(b.events)+1), b.now, "w1"
	if e.Type == capture.Attempted {
		e.LeaseUntil = b.now.Add(lease)
		if e.RequestID == "" {
			b.minted++
			e.RequestID = "request0000000000000000" + strconv.Itoa(b.minted)
		}
	}
	b.events = append(b.events, e)
	return e
}

func (b *book) decide(job capture.Job) capture.Step {
	return capture.Decide(new(b.state()), new(job), b.now, policy)
}

// want decides and holds the row's name; an intent is appended.
func (b *book) want(job capture.Job, rule string) capture.Step {
	b.t.Helper()
	step := b.decide(job)
	if step.Rule != rule {
		b.t.Fatalf("row %q decides (%s), want %q; state %+v", step.Rule, step.Do, rule, b.state())
	}
	if step.Do == capture.DoAttempt {
		b.append(*step.Event)
	}
	return step
}

// learn judges and appends, with a next try a second away.
func (b *book) learn(job *capture.Job, f capture.Finding, rule string) capture.Event {
	b.t.Helper()
	e := capture.Judge(new(b.state()), job, f, b.now, policy)
	if e == nil {
		b.t.Fatalf("nothing is written down, want row %q", rule)
	}
	if e.Rule != rule {
		b.t.Fatalf("row %q judges (%s %s), want %q", e.Rule, e.Type, e.Reason, rule)
	}
	if !e.Type.Outcome() {
		e.RetryAt = b.now.Add(time.Second)
	}
	return b.append(*e)
}

func (b *book) call(code string, rule string) capture.Event {
	b.t.Helper()
	kind := capture.AnswerRefused
	if code == capture.CodeInternal || code == "" {
		kind = capture.AnswerUnknown
	}
	return b.learn(nil, capture.Finding{Via: capture.ViaCapture, Call: b.state().Call,
		Answer: capture.Answer{Kind: kind, Code: code}}, rule)
}

func sees(state capture.OrderState, amount capture.Amount) capture.Finding {
	return capture.Finding{Via: capture.ViaQuery, Answer: capture.Answer{Kind: capture.AnswerDone, Code: "200",
		Order: &capture.Order{TradeID: "T1", State: state, Amount: amount}}}
}

// refused lets the open call end with -4084, and Order Query explain it: less was
// authorized than was asked.
func (b *book) refused(job capture.Job, shown string) capture.Event {
	b.t.Helper()
	b.call(capture.CodeAmountExceeded, "unsettled")
	return b.learn(&job, sees(capture.OrderAuthorized, eur(b.t, shown)), "refusal explained")
}

func silence() capture.Finding {
	return capture.Finding{Via: capture.ViaQuery, Answer: capture.Answer{Kind: capture.AnswerUnknown, Why: "timeout"}}
}

// Money of an earlier ask is named by its own amount, not by the new ask's.
func TestCapturedNamesTheSumThatWasTaken(t *testing.T) {
	b := newBook(t)
	first, corrected := jobOf(t, "30.00"), jobOf(t, "25.00")
	b.want(first, "first call")
	b.refused(first, "27.00")
	b.now = b.now.Add(time.Minute)
	b.want(corrected, "ask")
	e := b.learn(&corrected, sees(capture.OrderPaid, first.Amount), "paid")
	if e.Sum() != first.Amount {
		t.Errorf("captured %s, the gateway took %s", e.Sum(), first.Amount)
	}
}

// The authorized amount speaks for a capture of this ask's, not of a failed one's.
func TestAuthorizedAmountNeedsACallOfThisAsk(t *testing.T) {
	b := newBook(t)
	first, corrected := jobOf(t, "30.00"), jobOf(t, "25.00")
	corrected.AuthorizedAmount = eur(t, "40.00")
	b.want(first, "first call")
	b.refused(first, "27.00")
	b.now = b.now.Add(time.Minute)
	b.learn(&corrected, sees(capture.OrderPaid, eur(t, "40.00")), "paid otherwise")
}

// A query that fails after the deadline waits like any other.
func TestNoBusyAskingAfterTheDeadline(t *testing.T) {
	b := newBook(t)
	job := jobOf(t, "30.00")
	job.CaptureBefore = noon.Add(time.Minute)
	b.want(job, "first call")
	b.call(capture.CodeInternal, "unsettled")
	b.now = b.now.Add(2 * time.Second)
	b.learn(&job, sees(capture.OrderAuthorized, eur(t, "30.00")), "seen")
	b.now = noon.Add(2 * time.Minute)
	b.want(job, "window over")
	b.learn(&job, silence(), "seen")
	b.want(job, "not due")
}

// The gateway's window may be shorter than the job's deadline: its -4089 is
// explained once the window is over by Order Query's created_at, whatever the job
// says, and a job with more time of its own is no way around that.
func TestWindowExceededBeforeOurDeadline(t *testing.T) {
	b := newBook(t)
	job := jobOf(t, "30.00")
	job.CaptureBefore = noon.Add(240 * time.Hour)
	b.want(job, "first call")
	b.call(capture.CodeWindowExceeded, "unsettled")
	b.now = b.now.Add(time.Minute)
	early := sees(capture.OrderAuthorized, eur(t, "30.00"))
	b.learn(&job, early, "seen") // it explains nothing: our own time is not over
	b.now = b.now.Add(6 * time.Second)
	b.learn(&job, early, "seen")
	b.want(job, "cleared")
	b.call(capture.CodeWindowExceeded, "unsettled")
	b.now = b.now.Add(time.Minute)
	old := sees(capture.OrderAuthorized, eur(t, "30.00"))
	old.Answer.Order.CreatedAt = strconv.FormatInt(b.now.Add(-capture.AuthorizationWindow).Unix(), 10)
	b.learn(&job, old, "seen")
	b.learn(&job, old, "window over")
	b.want(job, "failed, same ask")
}

// A refused call was answered: a corrected amount goes through after one
// query, without waiting for a lease or the settle time.
func TestCorrectedAmountAfterAPlainRefusal(t *testing.T) {
	b := newBook(t)
	first, corrected := jobOf(t, "30.00"), jobOf(t, "25.00")
	b.want(first, "first call")
	b.now = b.now.Add(time.Second)
	b.refused(first, "27.00")
	b.now = b.now.Add(time.Second)
	b.want(corrected, "ask")
	b.learn(&corrected, sees(capture.OrderAuthorized, eur(t, "27.00")), "seen")
	b.want(corrected, "cleared, new id")
	b.refused(corrected, "20.00")
}

// Evidence on a failed trade long before the corrected job does not count as
// time in which the truth could not be learned.
func TestCorrectedAmountIsNotGivenUpAtOnce(t *testing.T) {
	b := newBook(t)
	first, corrected := jobOf(t, "30.00"), jobOf(t, "25.00")
	b.want(first, "first call")
	b.refused(first, "27.00")
	b.append(capture.Event{Type: capture.Notified, TradeID: "T1"})
	b.learn(nil, sees(capture.OrderAuthorized, eur(t, "27.00")), "seen")
	b.now = b.now.Add(240 * time.Hour)
	b.learn(&corrected, silence(), "seen")
	b.want(corrected, "cleared, new id")
}

// An operator who releases the trade sends back the ask that was parked.
func TestReleaseGoesOnWithTheAskThatWasParked(t *testing.T) {
	b := newBook(t)
	first, corrected := jobOf(t, "30.00"), jobOf(t, "25.00")
	b.want(first, "first call")
	b.refused(first, "27.00")
	b.now = b.now.Add(time.Minute)
	b.learn(&corrected, silence(), "seen")
	b.now = b.now.Add(73 * time.Hour)
	b.learn(&corrected, silence(), "seen")
	b.now = b.now.Add(time.Minute)
	parked := b.append(*b.want(corrected, "gave up").Event)
	if parked.Corrects != "" {
		t.Errorf("the end of another ask corrects %s", parked.Corrects)
	}
	b.append(capture.Event{Type: capture.Released, TradeID: "T1", By: "ann", Note: "gateway is back"})
	b.learn(&corrected, sees(capture.OrderAuthorized, eur(t, "40.00")), "seen")
	step := b.decide(corrected)
	if step.Do != capture.DoAttempt || step.Event.Job.Amount != corrected.Amount {
		t.Errorf("step %s (%s) with job %+v, want a call for %s", step.Do, step.Rule, step.Event.Job, corrected.Amount)
	}
}

// -1000 may hide a capture that Order Query does not show yet; the refusal of
// the next call is then no proof that no money was taken.
func TestRefusalAfterInternalErrorIsConfirmed(t *testing.T) {
	b := newBook(t)
	job := jobOf(t, "30.00")
	b.want(job, "first call")
	b.call(capture.CodeInternal, "unsettled")
	b.now = b.now.Add(2 * time.Second)
	b.learn(&job, sees(capture.OrderAuthorized, eur(t, "30.00")), "seen") // stale
	b.want(job, "cleared")
	b.call(capture.CodeAmountExceeded, "unsettled") // "already captured", by another code
	b.now = b.now.Add(10 * time.Second)
	b.learn(&job, sees(capture.OrderPaid, eur(t, "30.00")), "paid")
}

func TestDeadlineAfterInternalErrorIsConfirmed(t *testing.T) {
	b := newBook(t)
	job := jobOf(t, "30.00")
	job.CaptureBefore = noon.Add(3 * time.Second)
	b.want(job, "first call")
	b.call(capture.CodeInternal, "unsettled")
	b.now = b.now.Add(4 * time.Second)
	b.learn(&job, sees(capture.OrderAuthorized, eur(t, "30.00")), "seen") // stale
}

// A long stop of ours is not a long silence of the gateway: a
// worker that comes back and finds the trade authorized continues.
func TestLongStopDoesNotPark(t *testing.T) {
	b := newBook(t)
	job := jobOf(t, "30.00")
	b.want(job, "first call")
	b.now = b.now.Add(96 * time.Hour)
	for range 2 {
		b.want(job, "ask")
		b.learn(&job, sees(capture.OrderAuthorized, eur(t, "30.00")), "seen")
		if b.decide(job).Do == capture.DoWait {
			b.now = b.decide(job).Until
		}
	}
	b.want(job, "cleared")
	b.call(capture.CodeInternal, "unsettled")
	b.now = b.now.Add(time.Minute)
	b.learn(&job, sees(capture.OrderAuthorized, eur(t, "30.00")), "seen")
	b.now = b.now.Add(time.Minute)
	b.want(job, "gave up")
}

// Nor is one question without an answer, after a long stop of ours.
func TestSilenceAfterALongStopHasToLast(t *testing.T) {
	b := newBook(t)
	job := jobOf(t, "30.00")
	b.want(job, "first call")
	b.now = b.now.Add(96 * time.Hour)
	b.want(job, "ask")
	b.learn(&job, sees(capture.OrderAuthorized, eur(t, "30.00")), "seen")
	b.now = b.now.Add(policy.Spacing)
	b.want(job, "ask")
	b.learn(&job, silence(), "seen")
	b.now = b.now.Add(policy.Spacing)
	b.want(job, "ask")
	b.learn(&job, sees(capture.OrderPending, eur(t, "30.00")), "seen")
	b.now = b.now.Add(policy.Settle - policy.Spacing)
	b.want(job, "ask")
	b.learn(&job, silence(), "seen")
	b.now = b.now.Add(policy.Spacing)
	b.want(job, "gave up")
}

// Who was refused for a fault of ours, or never got through, has not asked: when
// the key is right again nothing is parked before the gateway was heard (rule 9).
func TestOurFaultParksNothing(t *testing.T) {
	refused := capture.Answer{Kind: capture.AnswerRefused, Code: capture.CodeSignature}
	for name, answer := range map[string]capture.Answer{
		"our key is refused": refused, "not sent": {Kind: capture.AnswerNotSent, Why: "calls are paused"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			job := jobOf(t, "30.00")
			b.want(job, "first call")
			b.now = b.now.Add(time.Hour)
			b.learn(&job, silence(), "seen")
			for range 3 {
				b.now = b.now.Add(48 * time.Hour)
				b.want(job, "ask")
				b.learn(&job, capture.Finding{Via: capture.ViaQuery, Answer: answer}, "seen")
			}
			b.now = b.now.Add(time.Minute)
			b.want(job, "ask")
			b.learn(&job, sees(capture.OrderAuthorized, eur(t, "30.00")), "seen")
			b.now = b.now.Add(time.Minute)
			b.learn(&job, sees(capture.OrderAuthorized, eur(t, "30.00")), "seen")
			b.want(job, "cleared")
		})
	}
}

// News from a worker whose clock is ahead is looked at when that time has come:
// until then each query of ours would seem to be older than the news.
func TestNewsFromAClockThatIsAhead(t *testing.T) {
	b := newBook(t)
	job := jobOf(t, "30.00")
	b.want(job, "first call")
	b.call("", "unsettled")
	later := b.now.Add(time.Hour)
	b.learn(&job, silence(), "seen")
	b.events[len(b.events)-1].RetryAt = later
	b.now = b.now.Add(3 * time.Second)
	b.append(capture.Event{Type: capture.Notified, TradeID: "T1"})
	b.now = b.now.Add(-2 * time.Second)
	if step := b.decide(job); step.Do != capture.DoWait || !step.Until.Equal(b.now.Add(2*time.Second)) {
		t.Errorf("%s until %s, want to wait for two seconds", step.Do, step.Until)
	}
	b.now = b.now.Add(2 * time.Second)
	b.want(job, "ask")
	b.learn(&job, silence(), "seen")
	b.events[len(b.events)-1].RetryAt = later
	b.now = b.now.Add(time.Second)
	b.want(job, "not due")
}

// A query says what was true when it was asked, not when its answer came.
func TestSlowQueryIsAsOldAsItsQuestion(t *testing.T) {
	b := newBook(t)
	job := jobOf(t, "30.00")
	b.want(job, "first call")
	b.now = b.now.Add(lease + 50*time.Second)
	slow := sees(capture.OrderAuthorized, eur(t, "30.00"))
	slow.Answer.Latency = 20 * time.Second // asked before the settle time was over
	b.learn(&job, slow, "seen")
	b.now = b.now.Add(6 * time.Second)
	b.learn(&job, sees(capture.OrderAuthorized, eur(t, "30.00")), "seen")
	b.want(job, "not due")
}

// A "done" that does not agree with the intent tells nothing for sure.
func TestDoneThatDisagreesIsLost(t *testing.T) {
	b := newBook(t)
	job := jobOf(t, "30.00")
	b.want(job, "first call")
	odd := sees(capture.OrderPaid, eur(t, "29.00"))
	odd.Via, odd.Call = capture.ViaCapture, 1
	b.learn(&job, odd, "unsettled")
	b.now = b.now.Add(2 * time.Second)
	b.learn(&job, sees(capture.OrderAuthorized, eur(t, "30.00")), "seen")
	b.want(job, "not due")
}

// Whatever a broken writer appends, captured stands in the fold.
func TestFoldNeverTakesCapturedBack(t *testing.T) {
	b := newBook(t)
	job := jobOf(t, "30.00")
	b.want(job, "first call")
	done := sees(capture.OrderPaid, job.Amount)
	done.Via, done.Call = capture.ViaCapture, 1
	b.learn(&job, done, "paid, answered")
	for _, e := range capture.EventTypes() {
		b.append(capture.Event{Type: e, TradeID: "T1", Reason: "odd", Call: 2, RequestID: "x"})
		b.want(job, "captured, same ask")
	}
}

// A paid order whose amount cannot be read agrees with nothing.
func TestPaidWithoutAmountAgreesWithNothing(t *testing.T) {
	e := capture.Judge(new(capture.State{}), nil, sees(capture.OrderPaid, capture.Amount{}), noon, policy)
	if e == nil || e.Type == capture.Captured {
		t.Errorf("judged %+v without any amount", e)
	}
}

// The answer to an earlier call is written down as that call's.
func TestLateDoneNamesItsCall(t *testing.T) {
	b := newBook(t)
	job := jobOf(t, "30.00")
	b.want(job, "first call")
	b.call("", "unsettled")
	b.now = b.now.Add(time.Minute)
	b.learn(&job, sees(capture.OrderAuthorized, job.Amount), "seen")
	b.now = b.now.Add(6 * time.Second)
	b.learn(&job, sees(capture.OrderAuthorized, job.Amount), "seen")
	b.want(job, "cleared")
	done := sees(capture.OrderPaid, job.Amount)
	done.Via, done.Call = capture.ViaCapture, 1
	if e := b.learn(&job, done, "paid, answered"); e.Call != 1 {
		t.Errorf("captured names call %d", e.Call)
	}
}
