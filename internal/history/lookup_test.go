package history

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/config"
	"github.com/capture-worker/capture-worker/internal/natstest"
	"github.com/capture-worker/capture-worker/internal/processtest"
	"github.com/capture-worker/capture-worker/ledger"
)

// doneWith is a stream of jobs that are done.
func doneWith(t *testing.T, jobs ...string) (jetstream.JetStream, config.Config) {
	t.Helper()
	js := natstest.JetStream(t)
	c := config.Config{Jobs: config.Jobs{Stream: "CAPTURE_JOBS", Subjects: []string{"capture.jobs.>"}, Consumer: "capture-worker"}}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: c.Jobs.Stream, Subjects: c.Jobs.Subjects}); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.EnsureStream(t.Context(), js, ledger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	for _, job := range jobs {
		if _, err := js.Publish(t.Context(), "capture.jobs.shipped", []byte(job)); err != nil {
			t.Fatal(err)
		}
	}
	consumer, err := js.CreateConsumer(t.Context(), c.Jobs.Stream, jetstream.ConsumerConfig{Durable: c.Jobs.Consumer, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(len(jobs), jetstream.FetchMaxWait(processtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	for m := range batch.Messages() {
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return js, c
}

// If only a part of the done jobs is checked, a line says so.
func TestTheLookAtDoneJobsIsBounded(t *testing.T) {
	t.Parallel()
	job := func(trade int, order string) string {
		return fmt.Sprintf(`{"trade_id":"T-%d","order_id":%q,"amount":"1.00","currency":"EUR"}`, trade, order)
	}
	jobs := []string{job(1, "A-1")}
	for i := range 7 {
		jobs = append(jobs, job(i, "A-2"))
	}
	js, c := doneWith(t, jobs...)
	dec, err := capture.NewDecoder(capture.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, k := range map[string]struct {
		ctx   context.Context
		order string
		most  int
		lines int // of jobs
		note  string
	}{
		"all":        {t.Context(), "A-1", 100, 1, ""},
		"just all":   {t.Context(), "A-1", 8, 1, ""},
		"too many":   {t.Context(), "A-1", 7, 0, "only the newest 7 done jobs were checked, published since 20"},
		"many shown": {t.Context(), "A-2", 100, maxDoneShown, "only the newest 5 done jobs were checked"},
		"no answer":  {ended, "A-1", 100, 0, "could not check the done jobs: "},
	} {
		l := jobLookup{js: js, c: c, dec: dec, ledger: ledger.NewJetStream(js, ledger.Options{}), order: k.order, maxDone: k.most}
		lines, found := l.doneJobs(k.ctx)
		note := ""
		if n := len(lines) - 1; n >= 0 && !strings.HasPrefix(lines[n], "the job of order ") {
			note, lines = lines[n], lines[:n]
		}
		if len(lines) != k.lines || found != (k.lines > 0) || !strings.Contains(note, k.note) || (k.note == "" && note != "") {
			t.Errorf("%s: found %t: %q, %q", name, found, lines, note)
		}
	}
}
