package schemas_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/natstest"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/internal/schemas/schematest"
	"github.com/capture-worker/capture-worker/ledger"
)

// headersFit holds the headers of a stored message against a schema of
// docs/asyncapi.yaml, and wants every header of ours to be described there.
func headersFit(t *testing.T, name string, h nats.Header) {
	t.Helper()
	_, tree := readAsyncAPI(t)
	node, ok := resolve(t, tree, "#/components/schemas/"+name)
	if !ok {
		t.Fatalf("no schema %s", name)
	}
	text, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	flat := map[string]string{}
	for header := range h {
		flat[header] = h.Get(header)
	}
	value, err := json.Marshal(flat)
	if err != nil {
		t.Fatal(err)
	}
	if err := schematest.Compile(t, name, text).Check(value); err != nil {
		t.Errorf("%s: %v\n%s", name, err, value)
	}
	known := node.(map[string]any)["properties"].(map[string]any)
	for header := range flat {
		if _, ok := known[header]; !ok && !strings.HasPrefix(header, "Nats-") && !strings.HasPrefix(header, deadletter.HeaderOriginal) {
			t.Errorf("%s does not name the header %s; it names %v", name, header, slices.Sorted(maps.Keys(known)))
		}
	}
}

func connect(t *testing.T) jetstream.JetStream {
	t.Helper()
	return natstest.JetStream(t)
}

func TestStoredEventFitsTheContract(t *testing.T) {
	js, ctx := connect(t), t.Context()
	if _, err := ledger.EnsureStream(ctx, js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	book := ledger.NewJetStream(js, ledger.Options{})
	e := capture.Event{ID: "E1", Type: capture.Released, TradeID: "T1", Time: time.Now(), Worker: "w", By: "ada"}
	if _, err := book.Append(ctx, e, 0); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, ledger.DefaultStream)
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.GetMsg(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	headersFit(t, "eventHeaders", m.Header)
	if err := schematest.Event(t).Check(m.Data); err != nil {
		t.Error(err)
	}
}

func TestDeadLetterFitsTheContract(t *testing.T) {
	js, ctx := connect(t), t.Context()
	for name, subject := range map[string]string{"CAPTURE_JOBS": "capture.jobs.>", "CAPTURE_DLQ": deadletter.SubjectPrefix + ">"} {
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{subject}}); err != nil {
			t.Fatal(err)
		}
	}
	jobs, err := js.CreateConsumer(ctx, "CAPTURE_JOBS", jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "capture.jobs.shipped", []byte("no job"), jetstream.WithMsgID("row-1")); err != nil {
		t.Fatal(err)
	}
	m, err := jobs.Next(jetstream.FetchMaxWait(processtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (deadletter.Store{JS: js}).Put(ctx, m, capture.MalformedNotJSON, "no JSON"); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, "CAPTURE_DLQ")
	if err != nil {
		t.Fatal(err)
	}
	letter, err := stream.GetMsg(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	headersFit(t, "deadLetterHeaders", letter.Header)
	fullHeadersFit(t, js, jobs, stream)
	if string(letter.Data) != "no job" || letter.Header.Get(deadletter.HeaderOriginal+"Nats-Msg-Id") != "row-1" {
		t.Errorf("the dead letter is %q with %v", letter.Data, letter.Header)
	}
}

// fullHeadersFit holds the dead letter of a job whose headers fill the limit of the
// broker to the contract: they are at the start of its body.
func fullHeadersFit(t *testing.T, js jetstream.JetStream, jobs jetstream.Consumer, dlq jetstream.Stream) {
	t.Helper()
	m := nats.NewMsg("capture.jobs.shipped")
	m.Header.Set("X-Long", strings.Repeat("x", 65_400))
	m.Data = []byte("no job")
	if _, err := js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	job, err := jobs.Next(jetstream.FetchMaxWait(processtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	seq, err := (deadletter.Store{JS: js}).Put(t.Context(), job, capture.MalformedNotJSON, "no JSON")
	if err != nil {
		t.Fatal(err)
	}
	letter, err := dlq.GetMsg(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	headersFit(t, "deadLetterHeaders", letter.Header)
	size, err := strconv.Atoi(letter.Header.Get(deadletter.HeaderHeaders))
	if err != nil {
		t.Fatal(err)
	}
	if own, err := nats.DecodeHeadersMsg(letter.Data[:size]); err != nil || len(own.Get("X-Long")) != 65_400 || string(letter.Data[size:]) != "no job" {
		t.Errorf("the body begins with %d headers and ends with %q, %v", len(own), letter.Data[size:], err)
	}
}

func TestNotesAboutLettersFitTheContract(t *testing.T) {
	_, tree := readAsyncAPI(t)
	for name, note := range map[string]any{
		"republication": deadletter.Republication{Time: time.Now(), ApprovedBy: "grace"}, "dismissal": deadletter.Dismissal{Time: time.Now()},
	} {
		node, _ := resolve(t, tree, "#/components/schemas/"+name)
		text, err := json.Marshal(node)
		if err != nil {
			t.Fatal(err)
		}
		value, err := json.Marshal(note)
		if err != nil {
			t.Fatal(err)
		}
		if err := schematest.Compile(t, name, text).Check(value); err != nil {
			t.Error(err)
		}
		var written map[string]any
		if err := json.Unmarshal(value, &written); err != nil {
			t.Fatal(err)
		}
		known := node.(map[string]any)["properties"].(map[string]any)
		if !slices.Equal(slices.Sorted(maps.Keys(written)), slices.Sorted(maps.Keys(known))) {
			t.Errorf("written are %v, the contract knows %v", slices.Sorted(maps.Keys(written)), slices.Sorted(maps.Keys(known)))
		}
	}
}
