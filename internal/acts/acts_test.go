package acts_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/capture-worker/capture-worker/internal/acts"
	"github.com/capture-worker/capture-worker/internal/jobstream"
	"github.com/capture-worker/capture-worker/internal/natstest"
	"github.com/capture-worker/capture-worker/internal/processtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, processtest.Leftovers()) }

// recorded are the records of the stream, oldest first.
func recorded(t *testing.T, js jetstream.JetStream) []acts.Act {
	t.Helper()
	stream, err := js.Stream(t.Context(), acts.Stream)
	if err != nil {
		t.Fatal(err)
	}
	var list []acts.Act
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		a, err := acts.Decode(m.Data)
		if err != nil || m.Subject != acts.SubjectPrefix+string(a.Act) {
			t.Fatalf("%s on %s: %v", m.Data, m.Subject, err)
		}
		list = append(list, a)
	}
	return list
}

// An act is recorded before it is carried out, and again if it fails.
func TestAnActIsRecordedBeforeItHappens(t *testing.T) {
	t.Parallel()
	js := natstest.JetStream(t)
	r := acts.Recorder{JS: js, Stream: acts.Stream, Ledger: "CAPTURES"}
	happened := false
	if err := r.Do(t.Context(), acts.Act{Act: acts.Pause}, func() error { happened = true; return nil }); !errors.Is(err, jetstream.ErrNoStreamResponse) || happened {
		t.Errorf("without a stream: %v, happened %t", err, happened)
	}
	if _, err := jobstream.Ensure(t.Context(), js, jobstream.Config{Jobs: "JOBS", Subjects: []string{"jobs"}, DLQ: "DLQ"}); err != nil {
		t.Fatal(err)
	}
	a := acts.Act{Act: acts.Pause, By: "ann", Reason: "maintenance", About: "lane batch"}
	err := r.Do(t.Context(), a, func() error {
		happened = true
		if n := len(recorded(t, js)); n != 1 {
			t.Errorf("%d records when it happens", n)
		}
		return nil
	})
	if err != nil || !happened {
		t.Errorf("%v, happened %t", err, happened)
	}
	ctx, cancel := context.WithCancel(t.Context())
	broken := errors.New(strings.Repeat("x", 1000))
	if err := r.Do(ctx, a, func() error { cancel(); return broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	list := recorded(t, js)
	if len(list) != 3 || list[0].By != "ann" || list[0].Reason != "maintenance" || list[0].About != "lane batch" || list[0].Ledger != "CAPTURES" || list[0].Time.IsZero() ||
		list[1].Failed != "" || len(list[2].Failed) != 500 || list[2].ID == list[1].ID {
		t.Errorf("%+v", list)
	}
}

// What is recorded stays.
func TestRecordsCannotBeRemoved(t *testing.T) {
	t.Parallel()
	js := natstest.JetStream(t)
	if _, err := jobstream.Ensure(t.Context(), js, jobstream.Config{Jobs: "JOBS", Subjects: []string{"jobs"}, DLQ: "DLQ"}); err != nil {
		t.Fatal(err)
	}
	if err := (acts.Recorder{JS: js, Stream: acts.Stream}).Record(t.Context(), acts.Act{Act: acts.Publish, By: "ann"}); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), acts.Stream)
	if err != nil {
		t.Fatal(err)
	}
	if stream.DeleteMsg(t.Context(), 1) == nil || stream.Purge(t.Context()) == nil || len(recorded(t, js)) != 1 {
		t.Error("a record was removed")
	}
}

func TestDecodeRefusesWhatIsNoAct(t *testing.T) {
	for _, body := range []string{"", "null", "{}", `{"id":"1"}`, `{"act":"pause"}`, `[]`} {
		if _, err := acts.Decode([]byte(body)); !errors.Is(err, acts.ErrAct) {
			t.Errorf("%q: %v", body, err)
		}
	}
}
