package audit_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
)

// brief is a policy under which every limit is seconds away.
var brief = capture.Policy{
	Settle: 4 * time.Second, Agree: 2, Spacing: time.Second, GiveUpAfter: 40 * time.Second, Window: 60 * time.Second,
	MaxAnswers: 3, AnswersFor: 20 * time.Second, MaxIDs: 3, Final: 15 * time.Second,
}

// TestTheTablesKeepTheRules walks the tables of package capture against a
// gateway that answers whatever it likes, with operators, notifications and
// crashes in between, and reads every ledger by the rules.
func TestTheTablesKeepTheRules(t *testing.T) {
	ended := map[string]int{}
	for seed := range uint64(walks) {
		w := newWalk(seed)
		for range 60 {
			w.move()
		}
		for _, e := range w.events {
			if e.Type.Outcome() {
				ended[string(e.Type)+" "+e.Reason]++
			}
		}
		if w.broken(t, seed) {
			continue
		}
	}
	for _, reason := range append(prefixed("failed ", capture.FailedReasons()), prefixed("parked ", capture.ParkedReasons())...) {
		if ended[reason] == 0 {
			t.Errorf("no walk ended as %s: %v", reason, ended)
		}
	}
}

const walks = 3000

func prefixed(prefix string, words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = prefix + w
	}
	return out
}

// walk is one trade on its way.
type walk struct {
	rnd    *rand.Rand
	now    time.Time
	job    capture.Job
	events []capture.Event
	state  capture.State
	habit  [2]int // a gateway tends to answer alike: the last kind of answer to a call, to a query
	paused bool
}

func newWalk(seed uint64) *walk {
	w := &walk{rnd: rand.New(rand.NewPCG(seed, 1)), now: noon}
	w.job = w.newJob()
	return w
}

func (w *walk) newJob() capture.Job {
	job := capture.Job{TradeID: "T1", Amount: eur([]string{"7.50", "9.00", "5.00"}[w.rnd.IntN(3)])}
	if w.rnd.IntN(2) == 0 {
		job.AuthorizedAmount = eur("9.00")
	}
	if w.rnd.IntN(2) == 0 {
		job.CaptureBefore = w.now.Add(time.Duration(w.rnd.IntN(90)-5) * time.Second)
	}
	return job
}

func (w *walk) append(e capture.Event) {
	e.ID, e.Time, e.Worker, e.TradeID = fmt.Sprintf("e%d", len(w.events)+1), w.now, "w", "T1"
	switch e.Type {
	case capture.Attempted:
		e.LeaseUntil = w.now.Add(3 * time.Second)
		if e.RequestID == "" {
			e.RequestID = fmt.Sprintf("request%021d", e.Attempt)
		}
	case capture.Answered, capture.Queried:
		e.RetryAt = w.now.Add(2 * time.Second)
	}
	w.events = append(w.events, e)
	w.state.Add(&e)
}

// move takes one step of the worker, or of another actor.
func (w *walk) move() {
	if w.rnd.IntN(8) == 0 {
		w.elsewhere()
		return
	}
	p := brief
	p.AskFirst = w.rnd.IntN(4) == 0
	step := capture.Decide(&w.state, &w.job, w.now, p)
	switch step.Do {
	case capture.DoAttempt:
		w.append(*step.Event)
		w.call()
	case capture.DoQuery:
		w.query(&w.job)
	case capture.DoSettle:
		w.append(*step.Event)
	case capture.DoWait:
		w.now = step.Until
	default: // the job is done with
		w.now = w.now.Add(time.Duration(w.rnd.IntN(20)) * time.Second)
		if w.rnd.IntN(2) == 0 {
			w.job = w.newJob()
		}
	}
}

// call lets the last call end in one of the ways it can.
func (w *walk) call() {
	w.now = w.now.Add(time.Second)
	if w.rnd.IntN(10) == 0 {
		return // the worker dies
	}
	sum := w.state.Job.Amount
	answers := []capture.Answer{
		timeout, errored, errored, odd, no(capture.CodeRequestID), no(capture.CodeFieldMissing), no(capture.CodeFieldMissing),
		no(capture.CodeAmountExceeded), no(capture.CodeCurrencyMismatch), no(capture.CodeWindowExceeded), noTrade,
		no(capture.CodeSignature), {Kind: capture.AnswerNotSent, Why: "refused"}, shows(capture.AnswerRefused, capture.OrderDeclined, sum),
		shows(capture.AnswerUnknown, capture.OrderPending, sum), shows(capture.AnswerDone, capture.OrderPaid, sum),
	}
	w.judge(capture.Finding{Via: capture.ViaCapture, Call: w.state.Call, Answer: w.pick(0, answers)}, &w.job)
}

func (w *walk) query(job *capture.Job) {
	slow := time.Duration(w.rnd.IntN(2)) * time.Second
	w.now = w.now.Add(slow)
	nine, unread, dollars := eur("9.00"), shows(capture.AnswerDone, capture.OrderPaid, capture.Amount{}), usd("9.00")
	unread.Order.AmountText = "many EUR"
	answers := []capture.Answer{
		shows(capture.AnswerDone, capture.OrderAuthorized, nine), shows(capture.AnswerDone, capture.OrderAuthorized, nine),
		shows(capture.AnswerDone, capture.OrderAuthorized, nine), shows(capture.AnswerDone, capture.OrderAuthorized, eur("6.00")),
		shows(capture.AnswerDone, capture.OrderAuthorized, eur("6.00")), shows(capture.AnswerDone, capture.OrderAuthorized, dollars),
		shows(capture.AnswerDone, capture.OrderPending, nine), shows(capture.AnswerDone, capture.OrderDeclined, nine),
		shows(capture.AnswerDone, capture.OrderFailed, nine), shows(capture.AnswerDone, capture.OrderExpired, nine),
		shows(capture.AnswerDone, capture.OrderCancelled, nine), shows(capture.AnswerDone, capture.OrderRefunded, nine),
		shows(capture.AnswerDone, "odd", nine), shows(capture.AnswerDone, capture.OrderPaid, nine), unread,
		shows(capture.AnswerDone, capture.OrderPaid, w.state.Job.Amount), noTrade, noTrade, timeout, errored, odd, no(capture.CodeSignature),
	}
	a := w.pick(1, answers)
	a.Latency = slow
	w.judge(capture.Finding{Via: capture.ViaQuery, Answer: a}, job)
}

// shows is an answer with the order as the gateway shows it.
func shows(kind capture.AnswerKind, state capture.OrderState, sum capture.Amount) capture.Answer {
	order := &capture.Order{State: state, Amount: sum, CreatedAt: fmt.Sprint(noon.Unix())}
	return capture.Answer{Kind: kind, Code: capture.CodeSuccess, Order: order}
}

func (w *walk) pick(which int, answers []capture.Answer) capture.Answer {
	if w.habit[which] == 0 || w.rnd.IntN(3) == 0 {
		w.habit[which] = 1 + w.rnd.IntN(len(answers))
	}
	return answers[w.habit[which]-1]
}

func (w *walk) judge(f capture.Finding, job *capture.Job) {
	f.Excused = w.paused
	if e := capture.Judge(&w.state, job, f, w.now, brief); e != nil {
		w.append(*e)
	}
}

// elsewhere is what does not come from the worker's own steps.
func (w *walk) elsewhere() {
	signed := capture.Event{By: "ann", Note: "asked the shop"}
	switch w.rnd.IntN(8) {
	case 0:
		w.now = w.now.Add(time.Duration(w.rnd.IntN(30)) * time.Second)
	case 1:
		w.job = w.newJob()
	case 2:
		w.paused = w.rnd.IntN(3) == 0
	case 3:
		n := &capture.Notification{Type: "payment", State: capture.OrderPending}
		if w.rnd.IntN(3) == 0 {
			n.State = capture.OrderPaid
		}
		w.append(capture.Event{Type: capture.Notified, Notification: n})
	case 4:
		if w.rnd.IntN(4) == 0 {
			signed.Type = capture.Withdrawn
			w.append(signed)
		}
	case 5:
		w.query(nil) // another query
	default:
		w.reopen(signed)
	}
}

// reopen is what an operator does about a trade that ended.
func (w *walk) reopen(e capture.Event) {
	switch w.state.Phase {
	case capture.PhaseParked:
		e.Type = capture.Released
	case capture.PhaseFailed:
		e.Type = capture.Retried
		if job := w.state.Job; job.TradeID != "" && w.rnd.IntN(2) == 0 {
			job.CaptureBefore = w.now.Add(time.Minute)
			e.Job = &job
		}
	default:
		return
	}
	w.append(e)
}

// broken reports the first rule that the ledger breaks, with the events up to it.
func (w *walk) broken(t *testing.T, seed uint64) bool {
	t.Helper()
	for n := range len(w.events) {
		found := audit.Events("T1", w.events[:n+1], brief)
		if len(found) == 0 {
			continue
		}
		var b strings.Builder
		for _, e := range w.events[:n+1] {
			line, err := e.Encode()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "  %s\n", line)
		}
		t.Errorf("seed %d: %v\n%s", seed, found, &b)
		return true
	}
	return false
}
