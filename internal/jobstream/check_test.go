package jobstream_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/internal/deadletter"
	"github.com/capture-worker/capture-worker/internal/finding"
	"github.com/capture-worker/capture-worker/internal/jobstream"
)

var limits = jobstream.Limits{CallTimeout: 30 * time.Second, MaxInFlight: 256, Horizon: 30 * 24 * time.Hour}

func TestOwnStreamsFit(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	s.ensure()
	problems, err := jobstream.Check(t.Context(), s.js, s.cfg, limits)
	if err != nil || len(problems) > 0 {
		t.Errorf("what we create does not fit ourselves: %v, %v", problems, err)
	}
	for _, name := range []string{s.cfg.Jobs, s.cfg.DLQ} {
		stream, err := s.js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.CachedInfo().Config.Compression; got != jetstream.S2Compression {
			t.Errorf("stream %s has compression %s", name, got)
		}
	}
}

// What is found is judged in plain words and never altered.
func TestFoundStreamsAreJudgedAndLeftAlone(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name     string
		stream   func(*jetstream.StreamConfig)
		consumer func(*jetstream.ConsumerConfig)
		fatal    bool
		says     string
	}{
		{"no ack", nil, func(c *jetstream.ConsumerConfig) { c.AckPolicy = jetstream.AckNonePolicy; c.MaxAckPending = 0 }, true, "ack policy"},
		{"max deliver", nil, func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 5 }, true, "after 5 deliveries"},
		{"backoff", nil, func(c *jetstream.ConsumerConfig) { c.BackOff = []time.Duration{time.Minute}; c.MaxDeliver = -1 }, true, "backoff"},
		{"short ack wait", nil, func(c *jetstream.ConsumerConfig) { c.AckWait = 10 * time.Second }, false, "ack wait 10s"},
		{"tiny ack pending", nil, func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 100 }, true, "max ack pending is 100"},
		{"default ack pending", nil, func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 1000 }, false, "starve"},
		{"short age", func(s *jetstream.StreamConfig) { s.MaxAge = 24 * time.Hour }, nil, false, "removed after 24h"},
		{"discards old", func(s *jetstream.StreamConfig) { s.MaxBytes = 1 << 20 }, nil, false, "drops the oldest"},
		{"headers only", nil, func(c *jetstream.ConsumerConfig) { c.HeadersOnly = true }, true, "headers only"},
		{"small pulls", nil, func(c *jetstream.ConsumerConfig) { c.MaxRequestBatch = 2 }, false, "limits the size of a pull"},
		{"another filter", nil, func(c *jetstream.ConsumerConfig) { c.FilterSubject = "capture.jobs.other" }, false, "takes capture.jobs.other, but the configuration says"},
		{"other subjects", func(s *jetstream.StreamConfig) { s.Subjects = []string{"capture.jobs.*"} }, nil, false, "stored nowhere"},
		{"memory", func(s *jetstream.StreamConfig) { s.Storage = jetstream.MemoryStorage }, nil, false, "in memory"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newBroker(t)
			stream := jetstream.StreamConfig{Name: s.cfg.Jobs, Subjects: s.cfg.Subjects}
			consumer := jetstream.ConsumerConfig{
				Durable: s.cfg.Consumers[0].Name, AckPolicy: jetstream.AckExplicitPolicy,
				AckWait: time.Minute, MaxAckPending: 50_000,
			}
			if tc.stream != nil {
				tc.stream(&stream)
			}
			if tc.consumer != nil {
				tc.consumer(&consumer)
			}
			if _, err := s.js.CreateStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			before, err := s.js.CreateConsumer(t.Context(), stream.Name, consumer)
			if err != nil {
				t.Fatal(err)
			}
			after, err := jobstream.Ensure(t.Context(), s.js, s.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if was, is := before.CachedInfo().Config, after[0].CachedInfo().Config; was.AckWait != is.AckWait || was.MaxAckPending != is.MaxAckPending || was.MaxDeliver != is.MaxDeliver {
				t.Errorf("the consumer was altered: %+v, now %+v", was, is)
			}
			problems, err := jobstream.Check(t.Context(), s.js, s.cfg, limits)
			if err != nil {
				t.Fatal(err)
			}
			if len(problems) != 1 || (problems[0].Severity == finding.Error) != tc.fatal || !strings.Contains(problems[0].String(), tc.says) || problems[0].Fix == "" {
				t.Errorf("problems %+v, want one that says %q, fatal: %t", problems, tc.says, tc.fatal)
			}
		})
	}
}

// A stream for dead letters that takes no notes about them is reported: the first
// to notice would be who publishes one again.
func TestADeadLetterStreamWithoutNotesIsReported(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	if _, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: s.cfg.DLQ, Subjects: []string{deadletter.SubjectPrefix + "*"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := jobstream.Ensure(t.Context(), s.js, s.cfg); err != nil {
		t.Fatal(err)
	}
	problems, err := jobstream.Check(t.Context(), s.js, s.cfg, limits)
	if err != nil || len(problems) != 1 || problems[0].Severity != finding.Warning || !strings.Contains(problems[0].String(), "dlq dismiss") {
		t.Errorf("problems %v, %v; want that notes are not taken, which stops no worker", problems, err)
	}
}

// Streams that were made before nats.replicas was raised are not altered: who
// believes that they have three replicas has to hear that they have one.
func TestStreamsWithTooFewReplicasAreReported(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	if _, err := jobstream.Ensure(t.Context(), s.js, s.cfg); err != nil {
		t.Fatal(err)
	}
	s.cfg.Replicas = 3
	problems, err := jobstream.Check(t.Context(), s.js, s.cfg, limits)
	if err != nil || len(problems) != 3 {
		t.Fatalf("problems %v, %v; want one for each stream", problems, err)
	}
	for i, stream := range []string{s.cfg.Jobs, s.cfg.DLQ, "CAPTURE_ACTS"} {
		want := "stream " + stream + ": it has 1 of the 3 replicas that nats.replicas asks for; `nats stream edit " + stream + " --replicas 3`, or lower nats.replicas"
		if got := problems[i]; got.Severity != finding.Warning || got.String() != want {
			t.Errorf("got %q (%s), want %q", got, got.Severity, want)
		}
	}
}

// A stream of withdrawals is created with its consumer, or checked if it is there.
func TestWithdrawalsAreCreatedAndChecked(t *testing.T) {
	t.Parallel()
	own := jobstream.Withdrawals{Stream: "CAPTURE_WITHDRAWALS", Subjects: []string{"capture.withdrawals.>"}, Consumer: "capture-worker-withdrawals"}
	for name, tc := range map[string]struct {
		want   jobstream.Withdrawals
		exists *jetstream.StreamConfig
		says   string // of the one finding
	}{
		"none":             {want: own},
		"in the jobs":      {want: jobstream.Withdrawals{Stream: "CAPTURE_JOBS", Subjects: []string{"returned"}, Consumer: "withdrawals"}},
		"not its subjects": {own, &jetstream.StreamConfig{Name: own.Stream, Subjects: []string{"returned"}}, "withdrawals published there are stored nowhere"},
		"too short":        {own, &jetstream.StreamConfig{Name: own.Stream, Subjects: own.Subjects, MaxAge: time.Hour}, "a withdrawal may be retried for"},
		"in memory":        {own, &jetstream.StreamConfig{Name: own.Stream, Subjects: own.Subjects, Storage: jetstream.MemoryStorage}, "withdrawals do not survive"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newBroker(t)
			s.cfg.Withdrawals = tc.want
			if tc.exists != nil {
				if _, err := s.js.CreateStream(t.Context(), *tc.exists); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := jobstream.Check(t.Context(), s.js, s.cfg, limits); err == nil {
				t.Error("nothing is missing before the streams are created")
			}
			s.ensure()
			s.ensure() // finds what it created
			problems, err := jobstream.Check(t.Context(), s.js, s.cfg, limits)
			if err != nil || len(problems) > 1 || len(problems) == 1 != (tc.says != "") || tc.says != "" && !strings.Contains(problems[0].String(), tc.says) {
				t.Errorf("%v, %v, want %q", problems, err, tc.says)
			}
			consumer, err := s.js.Consumer(t.Context(), tc.want.Stream, tc.want.Consumer)
			if err != nil || !slices.Equal(consumer.CachedInfo().Config.FilterSubjects, tc.want.Subjects) && consumer.CachedInfo().Config.FilterSubject != tc.want.Subjects[0] {
				t.Errorf("the consumer is %+v, %v", consumer, err)
			}
			for _, subject := range []string{"capture.withdrawals.x", "returned"} {
				if owner, err := s.js.StreamNameBySubject(t.Context(), subject); tc.exists == nil && subject == strings.ReplaceAll(tc.want.Subjects[0], ">", "x") && owner != tc.want.Stream {
					t.Errorf("%s belongs to %s, %v", subject, owner, err)
				}
			}
		})
	}
}

// A stream of acts that takes no acts keeps operators from acting; one that
// forgets, or cannot be read, is reported.
func TestAStreamOfActsThatDoesNotFit(t *testing.T) {
	t.Parallel()
	s := newBroker(t)
	_, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "CAPTURE_ACTS", Subjects: []string{"capture.acts.pause"}, Storage: jetstream.MemoryStorage,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jobstream.Ensure(t.Context(), s.js, s.cfg); err != nil {
		t.Fatal(err)
	}
	problems, err := jobstream.Check(t.Context(), s.js, s.cfg, limits)
	if err != nil || len(problems) != 2 || problems[0].Severity != finding.Error || problems[1].Severity != finding.Warning {
		t.Errorf("problems %v, %v", problems, err)
	}
}
