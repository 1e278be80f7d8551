//go:build unix

package e2e

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// A worker that makes no spans still hands the publisher's trace on, in
// whatever letters it was written, to what consumers read and to dead letters.
func TestThePublishersTraceReachesConsumers(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	b, s := startBroker(t), startSim(t)
	w := startWorker(t, "w", workerEnv(b, s))
	orders := plain(t, "traced", 1)
	s.authorize(orders[0].trade)
	job, err := json.Marshal(orders[0].jobs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range [][]byte{job, []byte("not JSON")} {
		m := nats.NewMsg(jobsSubject)
		m.Header["TraceParent"] = []string{parent}
		m.Data = body
		if _, err := b.js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	b.waitDone(patience)
	allCaptured(b, s, orders)
	for _, m := range b.messages("CAPTURES") {
		if got := m.Header.Get("traceparent"); got != parent {
			t.Errorf("%s carries the trace %q, want %q", m.Subject, got, parent)
		}
	}
	letters := b.messages(dlqStream)
	if len(letters) != 1 || strings.Join(letters[0].Header["TraceParent"], ",") != parent {
		t.Errorf("dead letters %v, want one with the job's trace as it was", letters)
	}
	w.Says("trace_id=0af7651916cd43dd8448eb211c80319c", 2, patience)
	outcome := regexp.MustCompile(`(?m)^.*level=INFO msg=captured trade_id=traced-0000 order_id=A-traced-0000 attempt=1 .*trace_id=0af7651916cd43dd8448eb211c80319c$`)
	if lines := outcome.FindAllString(w.Out.String(), -1); len(lines) != 1 {
		t.Errorf("%d lines tell the outcome, want one: %q", len(lines), lines)
	}
}
