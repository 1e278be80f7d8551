package audit_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/capture-worker/capture-worker/audit"
	"github.com/capture-worker/capture-worker/capture"
)

func took(sum string) audit.Capture {
	return audit.Capture{Amount: eur(sum), RequestID: id(1), At: noon}
}

func TestCompare(t *testing.T) {
	captured := begun().end(1, capture.Captured, "", capture.ViaCapture, paid).events
	failed := begun().end(1, capture.Failed, "declined", capture.ViaQuery, sees(capture.OrderDeclined, "30.00")).events
	parked := begun().end(1, capture.Parked, capture.ReasonStateUnclear, capture.ViaQuery, sees("odd", "30.00")).events
	corrected := append(slices.Clone(failed), capture.Event{ID: "e3", Type: capture.Captured, TradeID: "T1", Amount: "30.00", Currency: "EUR"})
	stranger := took("30.00")
	stranger.RequestID = id(9)
	tests := []struct {
		name   string
		events []capture.Event
		truth  audit.Truth
		want   string // the rule, "" for none
	}{
		{"captured once", captured, audit.Truth{State: capture.OrderPaid, Captures: []audit.Capture{took("30.00")}}, ""},
		{"captured twice", captured, audit.Truth{State: capture.OrderPaid, Captures: []audit.Capture{took("30.00"), took("30.00")}}, "3"},
		{"captured here only", captured, audit.Truth{State: capture.OrderAuthorized}, audit.TruthDiffers},
		{"captured before the record begins", captured, audit.Truth{State: capture.OrderPaid}, ""},
		{"captured another sum there", captured, audit.Truth{State: capture.OrderPaid, Captures: []audit.Capture{took("29.00")}}, "6"},
		{"captured by an unknown request", captured, audit.Truth{State: capture.OrderPaid, Captures: []audit.Capture{stranger}}, "1"},
		{"captured there, nothing here", nil, audit.Truth{State: capture.OrderPaid, Captures: []audit.Capture{took("30.00")}}, "1"},
		{"failed, no money", failed, audit.Truth{State: capture.OrderDeclined}, ""},
		{"failed, money taken", failed, audit.Truth{State: capture.OrderPaid, Captures: []audit.Capture{took("30.00")}}, "5"},
		{"failed, corrected later", corrected, audit.Truth{State: capture.OrderPaid, Captures: []audit.Capture{took("30.00")}}, ""},
		{"parked, money taken", parked, audit.Truth{State: capture.OrderPaid, Captures: []audit.Capture{took("30.00")}}, ""},
		{"not settled", begun().events, audit.Truth{State: capture.OrderAuthorized}, audit.Unsettled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.truth.TradeID = "T1"
			found := audit.Compare(tt.events, tt.truth, asks("30.00"))
			hit := slices.ContainsFunc(found, func(v audit.Violation) bool { return v.Rule == tt.want && v.TradeID == "T1" })
			if (tt.want == "") != (len(found) == 0) || (tt.want != "" && !hit) {
				t.Errorf("found %v, want rule %q", found, tt.want)
			}
		})
	}
}

func TestCompareWithTheJob(t *testing.T) {
	events := begun().end(1, capture.Captured, "", capture.ViaCapture, paid).events
	truth := audit.Truth{TradeID: "T1", State: capture.OrderPaid, Captures: []audit.Capture{took("30.00")}}
	if found := audit.Compare(events, truth, asks("25.00")); len(found) != 1 || found[0].Rule != "6" {
		t.Errorf("captured 30.00 for a job of 25.00: %v", found)
	}
	if found := audit.Compare(events, truth, nil); len(found) != 0 {
		t.Errorf("without a job: %v", found)
	}
}

func TestTruthAsTheSimulatorTellsIt(t *testing.T) {
	const told = `{"trade_id":"T1","state":"paid","calls_total":3,
		"captures":[{"at":"2026-11-02T12:00:00Z","amount":"30","currency":"EUR","request_id":"r1"}]}`
	var truth audit.Truth
	if err := json.Unmarshal([]byte(told), &truth); err != nil {
		t.Fatal(err)
	}
	want := audit.Capture{Amount: eur("30.00"), RequestID: "r1", At: noon}
	if truth.TradeID != "T1" || truth.State != capture.OrderPaid || len(truth.Captures) != 1 || truth.Captures[0] != want {
		t.Errorf("read %+v", truth)
	}
	again, err := json.Marshal(truth.Captures[0])
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != `{"amount":"30.00","currency":"EUR","request_id":"r1","at":"2026-11-02T12:00:00Z"}` {
		t.Errorf("wrote %s", again)
	}
	for _, bad := range []string{`{"captures":[{"amount":"-1","currency":"EUR"}]}`, `{"captures":[7]}`} {
		if err := json.Unmarshal([]byte(bad), &truth); err == nil {
			t.Errorf("%s is taken for a truth", bad)
		}
	}
}
