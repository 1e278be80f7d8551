package audit_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
)

func collected() *audit.Collector {
	c := audit.NewCollector(policy, 2)
	done := begun().end(1, capture.Captured, "", capture.ViaCapture, paid).events
	for range 3 {
		c.Add("T1", done, &audit.Truth{TradeID: "T1", State: capture.OrderPaid, Captures: []audit.Capture{took("30.00")}}, asks("30.00"))
	}
	c.Add("T1", lost().intent(52, 1, 2, asks("30.00")).events, nil, nil)
	c.Add("T1", begun().end(1, capture.Failed, "declined", capture.ViaQuery, sees(capture.OrderDeclined, "30.00")).events, nil, nil)
	c.Add("T1", begun().end(1, capture.Parked, capture.ReasonStateUnclear, capture.ViaQuery, sees("odd", "30.00")).events, nil, nil)
	return c
}

func TestReportOfACleanLedger(t *testing.T) {
	var b strings.Builder
	r := collected().Report()
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	want := `trades             6
captured           3
failed             1
  declined         1
parked             1
  state_unclear    1
unsettled          1
corrected later    0
capture calls      7
  of them retries  1
order queries      4
money captured     90.00 EUR  in 3 trades
audit: clean, every trade keeps the rules
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if !r.Clean() {
		t.Error("not clean")
	}
}

// The list of violations is bounded, their number is not.
func TestReportKeepsFewViolationsAndCountsAll(t *testing.T) {
	c := collected()
	for range 5 {
		if found := c.Add("T1", begun().end(1, capture.Captured, "", capture.ViaCapture, paid).events, &audit.Truth{TradeID: "T1"}, nil); len(found) != 1 {
			t.Fatalf("found %v", found)
		}
	}
	r := c.Report()
	if r.Clean() || r.ViolationCount != 5 || len(r.Violations) != 2 {
		t.Errorf("%d violations, %d kept", r.ViolationCount, len(r.Violations))
	}
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"audit: 5 violations", "trade T1: rule truth: captured in the ledger, not at the gateway", "and 3 more"} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("%q is missing in\n%s", part, b.String())
		}
	}
}

func TestReportAsJSON(t *testing.T) {
	b, err := json.Marshal(collected().Report())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"trades":6,"captured":3,"failed":1,"parked":1,"unsettled":1,"failed_by_reason":{"declined":1},` +
		`"parked_by_reason":{"state_unclear":1},"money":[{"currency":"EUR","amount":"90.00","trades":3}],` +
		`"calls":7,"retries":1,"queries":4,"corrected":0,"violations":[],"violation_count":0}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func TestCollectorFromManyGoroutines(t *testing.T) {
	c := audit.NewCollector(policy, 10)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for range 50 {
				sum := asks(fmt.Sprintf("%d.10", n+1))
				s := new(story).intent(0, 1, 1, sum).end(1, capture.Captured, "", capture.ViaCapture,
					sees(capture.OrderPaid, sum.Amount.Number()), func(e *capture.Event) { e.Amount = sum.Amount.Number() })
				c.Add("T1", s.events, nil, nil)
			}
		})
	}
	wg.Wait()
	r := c.Report()
	if r.Captured != 400 || len(r.Money) != 1 || r.Money[0].Amount != "1840.00" || r.ViolationCount != 0 {
		t.Errorf("%+v", r)
	}
}

type brokenPipe struct{}

var errPipe = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errPipe }

func TestWriteTableTellsOfABrokenPipe(t *testing.T) {
	if err := collected().Report().WriteTable(brokenPipe{}); !errors.Is(err, errPipe) {
		t.Errorf("got %v", err)
	}
}
