//go:build unix

package e2e

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/deadletter"
)

// malformed are the jobs that the acceptance names, with the reason that each
// is dead-lettered for.
var malformed = []struct{ name, body, reason string }{
	{"not JSON", `trade bad-1, please`, "not_json"},
	{"no amount", `{"trade_id":"bad-2","currency":"EUR"}`, "missing_field"},
	{"no trade", `{"amount":"1.00","currency":"EUR"}`, "missing_field"},
	{"exponent", `{"trade_id":"bad-3","amount":"1e3","currency":"EUR"}`, "bad_amount"},
	{"negative", `{"trade_id":"bad-4","amount":"-1","currency":"EUR"}`, "bad_amount"},
	{"three decimals", `{"trade_id":"bad-5","amount":"1.234","currency":"EUR"}`, "bad_amount"},
	{"nothing", `{"trade_id":"bad-6","amount":"0","currency":"EUR"}`, "bad_amount"},
	{"dot in the trade", `{"trade_id":"bad.7","amount":"1.00","currency":"EUR"}`, "bad_trade_id"},
	{"two amounts", `{"trade_id":"bad-8","amount":"1.00","currency":"EUR","amount":"2.00"}`, "duplicate_member"},
	{"AMOUNT", `{"trade_id":"bad-9","amount":"1.00","currency":"EUR","AMOUNT":"2.00"}`, "member_case"},
}

// TestMalformedJobsAreDeadLettered is an acceptance test: each malformed job is in CAPTURE_DLQ with its reason, its bytes
// and headers untouched; none reaches the gateway, none is lost, and the good
// jobs among them are captured.
func TestMalformedJobsAreDeadLettered(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	// Whatever reached this gateway would be captured.
	s := startSim(t, "--auto-create")
	env := workerEnv(b, s)
	w := startWorker(t, "w", env)
	good := plain(t, "good", len(malformed))
	sent := map[string]int{} // by the id that each message has in its headers
	for i, m := range malformed {
		sent[publishMalformed(b, i, m.body)] = i
		place(b, s, good[i:i+1])
	}
	b.waitDone(patience)
	w.Stop(patience)
	letters := b.messages(dlqStream)
	if len(letters) != len(malformed) {
		t.Errorf("%d dead letters, want %d", len(letters), len(malformed))
	}
	for _, letter := range letters {
		i, known := sent[letter.Header.Get("Shop-Id")]
		if !known {
			t.Errorf("a dead letter that was not sent, or occurs twice: %s %q", letter.Subject, letter.Data)
			continue
		}
		delete(sent, letter.Header.Get("Shop-Id"))
		t.Run(malformed[i].name, func(t *testing.T) { checkLetter(t, letter, malformed[i].body, malformed[i].reason) })
	}
	if calls := s.calls(); calls != len(good) {
		t.Errorf("the gateway saw %d calls, want one for each of the %d good jobs", calls, len(good))
	}
	allCaptured(b, s, good)
}

func publishMalformed(b *broker, i int, body string) (id string) {
	b.t.Helper()
	m := nats.NewMsg(jobsSubject)
	m.Data = []byte(body)
	id = strconv.Itoa(i)
	m.Header.Set("Shop-Id", id)
	m.Header["lower-case"] = []string{"one", "two"}
	m.Header.Set(jetstream.MsgIDHeader, "malformed-"+id)
	if _, err := b.js.PublishMsg(b.t.Context(), m); err != nil {
		b.t.Fatal(err)
	}
	return id
}

func checkLetter(t *testing.T, letter *jetstream.RawStreamMsg, body, reason string) {
	t.Helper()
	if want := "capture.dlq." + reason; letter.Subject != want {
		t.Errorf("it is on %s, want %s", letter.Subject, want)
	}
	if string(letter.Data) != body {
		t.Errorf("its bytes are %q, want %q", letter.Data, body)
	}
	h := letter.Header
	if got := fmt.Sprint(h["lower-case"]); got != "[one two]" {
		t.Errorf("its header lower-case is %s", got)
	}
	id := deadletter.HeaderOriginal + jetstream.MsgIDHeader
	for name, want := range map[string]string{
		deadletter.HeaderReason: reason, deadletter.HeaderSubject: jobsSubject, deadletter.HeaderStream: jobsStream,
		id: "malformed-" + h.Get("Shop-Id"),
	} {
		if got := h.Get(name); got != want {
			t.Errorf("its header %s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{deadletter.HeaderDetail, deadletter.HeaderSequence, deadletter.HeaderTime} {
		if h.Get(name) == "" {
			t.Errorf("it has no header %s", name)
		}
	}
}

// TestConflictingJobIsDeadLettered is an acceptance test: a job that contradicts a captured trade never reaches the
// gateway; it is dead-lettered as a conflict, and the outcome stands.
func TestConflictingJobIsDeadLettered(t *testing.T) {
	t.Parallel()
	b, s := startBroker(t), startSim(t)
	startWorker(t, "w", workerEnv(b, s))
	orders := plain(t, "conflict", 1)
	place(b, s, orders)
	b.waitDone(patience)
	calls := s.calls()
	for _, amount := range []string{"1.00", orders[0].trade.Amount.Number()} {
		b.publish(jobsSubject, fmt.Appendf(nil, `{"trade_id":"conflict-0000","amount":%q,"currency":"EUR"}`, amount))
	}
	b.waitDone(patience)
	letters := b.messages(dlqStream)
	if len(letters) != 1 || letters[0].Subject != "capture.dlq.conflict" {
		t.Fatalf("dead letters %v, want one conflict: the job with the same amount is only acked", letters)
	}
	if got := letters[0].Header.Get(deadletter.HeaderSequence); got != "2" {
		t.Errorf("the dead letter was message %s of the stream, want 2", got)
	}
	if now := s.calls(); now != calls {
		t.Errorf("the gateway saw %d more calls", now-calls)
	}
	allCaptured(b, s, orders)
}
