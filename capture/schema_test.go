package capture_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/internal/schemas/schematest"
)

// beyondSchema are the reasons that are about the text and not about its value.
var beyondSchema = []string{
	capture.MalformedNotJSON, capture.MalformedDuplicate, capture.MalformedTooLarge, capture.MalformedCloudEvent,
}

// contradictions are what a schema cannot say about two members.
var contradictions = []string{"is more than the authorized", " is before authorized_at ("}

// schemaAgrees holds what the decoder said of a job against the published
// schema: what it takes fits, and what it refuses does not, as far as a schema
// can say.
func schemaAgrees(t *testing.T, body string, refused error) {
	t.Helper()
	err := schematest.Job(t).Check([]byte(body))
	bad, _ := errors.AsType[*capture.MalformedError](refused)
	switch {
	case bad == nil && err != nil:
		t.Errorf("docs/schemas/job.schema.json refuses what the decoder takes: %v", err)
	case bad == nil, err != nil, slices.Contains(beyondSchema, bad.Reason):
	case !slices.ContainsFunc(contradictions, func(c string) bool { return strings.Contains(bad.Detail, c) }):
		t.Errorf("docs/schemas/job.schema.json takes what the decoder refuses: %v", bad)
	}
}

// eventSchema holds events against the published schema, each kind of event
// once.
type eventSchema struct {
	t      *testing.T
	schema schematest.Schema
	seen   map[eventShape]bool
}

// eventShape is what tells one event from another as far as a schema sees it.
type eventShape struct {
	kind, reason, amount, currency, rule, answer, code, order string
	seen                                                      capture.Amount
	job, corrects, retry                                      bool
}

func newEventSchema(t *testing.T) *eventSchema {
	return &eventSchema{t: t, schema: schematest.Event(t), seen: map[eventShape]bool{}}
}

func (s *eventSchema) check(events ...capture.Event) {
	s.t.Helper()
	for _, e := range events {
		shape := shapeOf(e)
		if s.seen[shape] {
			continue
		}
		s.seen[shape] = true
		text, err := e.Encode()
		if err == nil {
			err = s.schema.Check(text)
		}
		if err != nil {
			s.t.Errorf("docs/schemas/event.schema.json refuses an event: %v\n%s", err, text)
		}
	}
}

func shapeOf(e capture.Event) eventShape {
	shape := eventShape{
		kind: string(e.Type), reason: e.Reason, amount: e.Amount, currency: e.Currency, rule: e.Rule,
		job: e.Job != nil, corrects: e.Corrects != "", retry: !e.RetryAt.IsZero(),
	}
	if e.Answer != nil {
		shape.answer, shape.code = string(e.Answer.Kind), e.Answer.Code
		if o := e.Answer.Order; o != nil {
			shape.order, shape.seen = string(o.State), o.Amount
		}
	}
	return shape
}

// The events of every type, filled in, fit the published schema.
func TestSampleEventsFitTheSchema(t *testing.T) {
	s := newEventSchema(t)
	for _, kind := range capture.EventTypes() {
		e := sampleEvent(t, kind)
		if kind == capture.Answered {
			e.Call = 1
		}
		if kind.Outcome() {
			e.Via = capture.ViaQuery
		}
		s.check(e)
	}
	if len(s.seen) != len(capture.EventTypes()) {
		t.Errorf("%d kinds of events were checked, want %d", len(s.seen), len(capture.EventTypes()))
	}
}

// The sum of a truth that comes late, in a currency without decimals, too.
func TestEventOfYenFitsTheSchema(t *testing.T) {
	e := sampleEvent(t, capture.Captured)
	e.Amount, e.Currency, e.Via, e.Time = "500", "JPY", capture.ViaQuery, eventTime.In(time.FixedZone("", 3600))
	newEventSchema(t).check(e)
}
