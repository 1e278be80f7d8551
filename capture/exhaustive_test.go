package capture_test

import (
	"cmp"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// explorer walks every way a trade can go, breadth first, up to a depth.
type explorer struct {
	t       *testing.T
	seen    map[string]bool
	reached map[string]bool // rows, by table and name
	edges   map[capture.Edge]bool
	moves   int
	settled [4][]world // 0: failed, 1: parked, as the breadth met them
	schema  *eventSchema
}

// TestEveryWay starts from an empty ledger, under each kind of deadline, and
// takes every step, every answer and every accident within the depth. The
// world knows where the money is, and an independent reading holds each ledger
// against the rules.
func TestEveryWay(t *testing.T) {
	x := explore(t)
	if !processtest.Verify() {
		return
	}
	for _, row := range capture.Rows() {
		if !x.reached[row.Table+"/"+row.Name] {
			t.Errorf("nothing reaches row %q of table %s", row.Name, row.Table)
		}
	}
}

// explored keeps the one exploration that two tests look at.
var explored struct {
	sync.Once
	*explorer
}

func explore(t *testing.T) *explorer {
	explored.Do(func() { explored.explorer = exploreNow(t) })
	return explored.explorer
}

func exploreNow(t *testing.T) *explorer {
	x := &explorer{t: t, seen: map[string]bool{}, reached: map[string]bool{}, edges: map[capture.Edge]bool{}, schema: newEventSchema(t)}
	var layer []world
	for _, job := range starts()[:3] {
		layer = append(layer, world{now: noon, job: job})
	}
	layer = append(layer, world{now: noon, job: starts()[0], again: true})
	breadth, walks := reach()
	for range breadth {
		layer = x.next(layer)
	}
	t.Logf("breadth: %d worlds, %d transitions", len(x.seen), x.moves)
	for _, no := range append(noes, reply{capture.AnswerUnknown, capture.CodeInternal}) {
		x.always(no)
	}
	x.stroll(walks)
	t.Logf("with walks: %d transitions", x.moves)
	return x
}

const walkLength = 45

// reach is how far the exploration goes: in make verify so far that every row is
// reached, in make test as far as its time allows.
func reach() (breadth, walks int) {
	if processtest.Verify() {
		return 5, 2000
	}
	return 4, 400
}

// stroll goes far where the breadth cannot: walks of a fixed seed, which obey
// Decide most of the time and meet an accident sometimes.
func (x *explorer) stroll(walks int) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range walks {
		w := world{now: noon, job: starts()[i%len(starts())]}
		if ended := x.settled[i%4]; len(ended) > 0 { // what follows an outcome is far from the start
			w = ended[rnd.IntN(len(ended))]
		}
		habit := map[int]int{} // a gateway tends to answer alike
		for range walkLength {
			if x.t.Failed() {
				return
			}
			moves := w.elsewhere()
			if len(moves) == 0 || rnd.IntN(10) > 0 {
				moves = x.steps(w)
			}
			pick, ok := habit[len(moves)]
			if !ok || rnd.IntN(2) == 0 {
				pick = rnd.IntN(len(moves))
			}
			habit[len(moves)] = pick
			n := moves[pick]
			x.moves++
			x.check(w, n)
			w = n
		}
	}
}

// always plays a gateway that answers every capture call alike and every query
// with authorized, until nothing more happens.
func (x *explorer) always(no reply) {
	w := world{now: noon, job: starts()[0]}
	w.job.AuthorizedAmount, w.job.CaptureBefore = w.job.Amount, noon.Add(time.Hour)
	for range 4 * walkLength {
		before, step := w, capture.Decide(new(w.state), new(w.job), w.now, brief)
		x.reached[capture.TableDecide+"/"+step.Rule] = true
		switch step.Do {
		case capture.DoAttempt:
			w = w.append(*step.Event).answered(capture.Answer{Kind: no.kind, Code: no.code})
		case capture.DoQuery:
			w = w.judged(capture.Finding{Via: capture.ViaQuery, Answer: orderAnswer(capture.OrderAuthorized, w.job.Amount)}, &w.job)
		case capture.DoWait:
			w.now = step.Until
		case capture.DoSettle:
			w = w.append(*step.Event)
		case capture.DoAck, capture.DoConflict:
			return
		}
		x.moves++
		x.check(before, w)
	}
	if no.kind != capture.AnswerNotSent && no.code != capture.CodeSignature {
		x.fail(w, "%s without end never settles", no.code)
	}
}

func starts() []capture.Job {
	plain := capture.Job{TradeID: "T1", Amount: eurMust("7.50"), AuthorizedAmount: eurMust("9.00")}
	soon, over, far, much := plain, plain, plain, plain
	much.Amount = eurMust("10.00")
	far.CaptureBefore = noon.Add(time.Minute)
	soon.CaptureBefore = noon.Add(6 * time.Second)
	over.CaptureBefore = noon.Add(-time.Second)
	return []capture.Job{plain, soon, over, far, much}
}

func (x *explorer) next(layer []world) []world {
	var out []world
	for _, w := range layer {
		if x.t.Failed() {
			return nil
		}
		for _, n := range append(x.steps(w), w.elsewhere()...) {
			x.moves++
			if k := n.key(); !x.seen[k] {
				x.seen[k] = true
				x.check(w, n)
				out = append(out, n)
				x.keep(n)
			}
		}
	}
	return out
}

// keep remembers worlds with an outcome that something may follow.
func (x *explorer) keep(w world) {
	switch w.state.Phase {
	case capture.PhaseFailed:
		x.settled[0] = append(x.settled[0], w)
	case capture.PhaseParked:
		x.settled[1] = append(x.settled[1], w)
	}
}

// steps obeys Decide, as the shell does.
func (x *explorer) steps(w world) []world {
	policy := brief
	policy.AskFirst = w.again
	step := capture.Decide(new(w.state), new(w.job), w.now, policy)
	x.reached[capture.TableDecide+"/"+step.Rule] = true
	w = w.did("[%s]", step.Rule)
	switch step.Do {
	case capture.DoAttempt:
		x.mayCall(w, step)
		w = w.append(*step.Event)
		w.now = w.now.Add(time.Second)
		return w.calls()
	case capture.DoQuery:
		x.mayQuery(w)
		return w.queries(&w.job)
	case capture.DoWait:
		if !step.Until.After(w.now) {
			x.fail(w, "waits until %s, which is over", step.Until)
		}
		return w.pass(step.Until)
	case capture.DoSettle:
		return []world{w.append(*step.Event).did("settled %s", step.Event.Reason)}
	case capture.DoAck, capture.DoConflict:
		return append(w.settledMoves(), w.pass(w.now.Add(25*time.Second))...)
	}
	x.fail(w, "no such step: %q", step.Do)
	return nil
}

func (x *explorer) fail(w world, format string, args ...any) {
	x.t.Helper()
	x.t.Errorf(format+"\n  path:%s", append(args, w.path)...)
	for _, e := range w.events {
		b, _ := e.Encode()
		x.t.Logf("  %s", b)
	}
}

// mayCall holds rule 3 against the truth: no call goes out while a lost one may
// still take the money unseen, and no new request_id while any may.
func (x *explorer) mayCall(w world, step capture.Step) {
	switch first := w.state.Events == 0; {
	case w.again && first:
		x.fail(w, "a redelivered job makes the first call unasked")
	case w.state.Withdrawn:
		x.fail(w, "calls for a withdrawn trade")
	case !w.state.NotifiedPaid.IsZero():
		x.fail(w, "calls although a notification says paid")
	}
	if !w.hidden() || w.behind { // the gateway's own rule of one capture is what is left then
		return
	}
	switch last := w.state.Answer; {
	case w.state.Unanswered || last.Kind == capture.AnswerUnknown && last.Code != capture.CodeInternal:
		x.fail(w, "calls while a lost call may still land")
	case last.Code == capture.CodeInternal && w.state.AuthorizedSum != w.state.Job.Amount:
		x.fail(w, "calls for a part of the authorized sum while an earlier call may still land")
	case step.Event.RequestID == "" && w.state.Phase != capture.PhaseFailed && last.Kind == capture.AnswerUnknown:
		x.fail(w, "mints a request_id while an earlier one may have taken effect")
	}
}

// mayQuery is the livelock detector: a query right after one, at the same
// time, with nothing new in between.
func (x *explorer) mayQuery(w world) {
	n := len(w.events)
	if n == 0 {
		return
	}
	if last := w.events[n-1]; last.Type == capture.Queried && last.Time.Equal(w.now) && w.job.Amount == w.state.Job.Amount {
		x.fail(w, "asks twice at the same time")
	}
}

// check holds a new event against the truth and the rules. What another hand
// takes behind our back is found by a query or not at all: it may follow any
// query of ours.
func (x *explorer) check(before, after world) {
	x.reach(after)
	s := before.state
	for _, e := range after.events[len(before.events):] {
		x.schema.check(e)
		next := s
		next.Add(&e)
		x.edges[capture.Edge{From: phaseOf(s), To: phaseOf(next), By: cmp.Or(e.Rule, string(e.Type))}] = true
		s = next
		switch {
		case e.Type == capture.Captured && after.taken.IsZero():
			x.fail(after, "captured, but no money was taken")
		case e.Type == capture.Captured && e.Sum() != after.taken:
			x.fail(after, "captured %s, but %s were taken", e.Sum(), after.taken)
		case e.Type == capture.Failed && !after.taken.IsZero() && !after.foreign && after.gone == "":
			x.fail(after, "failed, but %s were taken", after.taken)
		case e.Type == capture.Failed && !s.NotifiedPaid.IsZero():
			x.fail(after, "failed although a notification says paid")
		case e.Type == capture.Failed && after.hidden():
			x.fail(after, "failed, but a call may still land")
		}
	}
	for _, v := range audit.Events("T1", after.events, brief) {
		x.fail(after, "%s", v)
	}
}

func phaseOf(s capture.State) capture.Phase { return cmp.Or(s.Phase, capture.PhaseNew) }

// reach notes the row that judged. One that writes nothing is known from the
// phase: nothing is written about a captured trade, nor for a late answer.
func (x *explorer) reach(w world) {
	for _, via := range w.judgements {
		x.reached[via] = true
	}
}
