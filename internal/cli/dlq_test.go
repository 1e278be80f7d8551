package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

// ran runs a command and returns its exit code and what it printed.
func ran(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &log)
	return code, out.String(), log.String()
}

// A dead letter whose headers are in its body is shown and published again like any
// other; if the broker does not take the headers with ours, the operator learns what to
// do.
func TestDeadLettersOfFullHeaders(t *testing.T) {
	h := newHostile(t, nil)
	const fixed = len("NATS/1.0\r\n" + "X-Long: \r\n" + "\r\n")
	for i, headers := range []int{65_250, 64<<10 - 1} {
		m := nats.NewMsg("capture.jobs.shipped")
		m.Header.Set("X-Long", strings.Repeat("x", headers-fixed))
		m.Data = body("L-1", "A-1")
		ack, err := h.js.PublishMsg(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		consumer, err := h.js.CreateConsumer(t.Context(), "CAPTURE_JOBS", jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: ack.Sequence})
		if err != nil {
			t.Fatal(err)
		}
		job, err := consumer.Next(jetstream.FetchMaxWait(processtest.Patience))
		if err != nil {
			t.Fatal(err)
		}
		store := deadletter.Store{JS: h.js, Stream: "CAPTURE_DLQ"}
		if seq, err := store.Put(t.Context(), job, deadletter.ReasonConflict, "asks for another sum"); err != nil || seq != uint64(i+1) {
			t.Fatalf("stored as %d, %v", seq, err)
		}
	}
	for _, seq := range []string{"1", "2"} {
		if code, out, log := ran(t, "dlq", "show", seq); code != exitGood || !strings.Contains(out, "today    a valid job for trade L-1, 1.00 EUR") || !strings.Contains(out, "header   X-Long: xxx") {
			t.Errorf("show %s: exit code %d, %.200s, %s", seq, code, out, log)
		}
	}
	if code, out, log := ran(t, "dlq", "republish", "1", "--reason", "why", "--by", "ann"); code != exitGood {
		t.Errorf("exit code %d: %s%s", code, out, log)
	}
	again := lastJob(t, h.js)
	if len(again.Header.Get("X-Long")) != 65_250-fixed || string(again.Data) != string(body("L-1", "A-1")) || again.Header.Get(deadletter.HeaderPublishedBy) != "ann" {
		t.Errorf("published %.200s with a header of %d bytes", again.Data, len(again.Header.Get("X-Long")))
	}
	if code, _, log := ran(t, "dlq", "republish", "2", "--reason", "why"); code != exitFailed || !strings.Contains(log, "--bare") {
		t.Errorf("exit code %d: %s", code, log)
	}
	if code, out, log := ran(t, "dlq", "republish", "2", "--reason", "why", "--bare"); code != exitGood {
		t.Errorf("exit code %d: %s%s", code, out, log)
	}
	if again := lastJob(t, h.js); again.Header.Get("X-Long") != "" || again.Header.Get(deadletter.HeaderDLQSequence) != "2" {
		t.Errorf("published without its headers: %.200v", again.Header)
	}
}

func lastJob(t *testing.T, js jetstream.JetStream) *jetstream.RawStreamMsg {
	t.Helper()
	stream, err := js.Stream(t.Context(), "CAPTURE_JOBS")
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetMsg(t.Context(), stream.CachedInfo().State.LastSeq)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
