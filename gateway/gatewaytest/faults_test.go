package gatewaytest_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capture-worker/capture-worker/gateway/gatewaytest"
)

func TestCaptureFaults(t *testing.T) {
	is502 := func(a answer) bool { return a.http == 502 }
	is429 := func(a answer) bool { return a.http == 429 && a.header.Get("Retry-After") != "" }
	isError := func(a answer) bool { return a.code() == "-1000" && !a.Status }
	is200 := func(a answer) bool { return a.code() == "200" && a.field("state") == "paid" }
	isPending := func(a answer) bool { return a.code() == "200" && a.field("state") == "pending" }
	isOdd := func(a answer) bool { return a.code() == "-7777" || a.code() == "-8888" }
	isRefused := func(a answer) bool {
		return slices.Contains([]string{"-3001", "-4084", "-4085", "-4089", "-4024"}, a.code())
	}
	tests := map[gatewaytest.Fault]struct {
		seen  func(answer) bool
		taken int
	}{
		gatewaytest.Refused:         {isRefused, 0},
		gatewaytest.OddCode:         {isOdd, 0},
		gatewaytest.NoFault:         {is200, 1},
		gatewaytest.ErrorBefore:     {isError, 0},
		gatewaytest.ErrorAfter:      {isError, 1},
		gatewaytest.HangBefore:      {isBroken, 0},
		gatewaytest.HangAfter:       {isBroken, 1},
		gatewaytest.ResetBefore:     {isBroken, 0},
		gatewaytest.ResetAfter:      {isBroken, 1},
		gatewaytest.TruncatedBefore: {isTruncated, 0},
		gatewaytest.TruncatedAfter:  {isTruncated, 1},
		gatewaytest.HTML502Before:   {is502, 0},
		gatewaytest.HTML502After:    {is502, 1},
		gatewaytest.Status429Before: {is429, 0},
		gatewaytest.Status429After:  {is429, 1},
		gatewaytest.Slow:            {is200, 1},
		gatewaytest.Pending:         {isPending, 1},
	}
	for _, k := range gatewaytest.Knobs() {
		if _, ok := tests[k.Name]; !ok && k.On == gatewaytest.OnCapture && k.Name != gatewaytest.Late && k.Name != gatewaytest.ErrorLate {
			t.Errorf("%s has no test", k.Name)
		}
	}
	for fault, tt := range tests {
		t.Run("fault="+string(fault), func(t *testing.T) {
			b := start(t, nil)
			b.script("T1", gatewaytest.Step{Fault: fault})
			began := time.Now()
			if got := b.capture(captureData("T1")); !tt.seen(got) {
				t.Errorf("the client saw %+v", got)
			}
			if hung := strings.HasPrefix(string(fault), "hang"); hung && time.Since(began) < quick.HangMax {
				t.Error("it did not hang")
			}
			if fault == gatewaytest.Slow && time.Since(began) < quick.SlowBy {
				t.Error("it was not slow")
			}
			truth := b.truth("T1")
			last := truth.Calls[len(truth.Calls)-1]
			if len(truth.Captures) != tt.taken || last.TookEffect != (tt.taken == 1) || last.Fault != fault {
				t.Errorf("truth %+v, want %d captures by a call with this fault", truth, tt.taken)
			}
		})
	}
}

func TestQueryFaults(t *testing.T) {
	tests := map[gatewaytest.Fault]func(answer) bool{
		gatewaytest.QueryNoTrade:      func(a answer) bool { return a.code() == "-4024" },
		gatewaytest.QueryOddCode:      func(a answer) bool { return a.code() == "-7777" || a.code() == "-8888" },
		gatewaytest.NoFault:           func(a answer) bool { return a.field("state") == "paid" },
		gatewaytest.QueryError:        func(a answer) bool { return a.code() == "-1000" },
		gatewaytest.QueryHang:         isBroken,
		gatewaytest.QueryReset:        isBroken,
		gatewaytest.Query502:          func(a answer) bool { return a.http == 502 },
		gatewaytest.QueryStale:        func(a answer) bool { return a.field("state") == "authorized" && a.field("amount")[:2] == "30" },
		gatewaytest.QueryUnknownState: func(a answer) bool { return a.field("state") == "in_clearing" },
		gatewaytest.QuerySlow:         func(a answer) bool { return a.field("state") == "paid" },
	}
	b := start(t, nil)
	wantCode(t, "capture", b.capture(captureData("T1")), "200")
	for _, k := range gatewaytest.Knobs() {
		if tests[k.Name] == nil && k.On == gatewaytest.OnQuery {
			t.Errorf("%s has no test", k.Name)
		}
	}
	for fault, seen := range tests {
		b.script("T1", gatewaytest.Step{On: gatewaytest.OnQuery, Fault: fault})
		if got := b.query("T1"); !seen(got) {
			t.Errorf("%q: the client saw %+v", fault, got)
		}
	}
}

func TestScriptedCodeAndState(t *testing.T) {
	b := start(t, nil)
	b.script("T1", gatewaytest.Step{Code: "-7777"}, gatewaytest.Step{State: "refunded"}, gatewaytest.Step{On: "query", Code: "-4024"})
	wantCode(t, "capture", b.capture(captureData("T1")), "-7777")
	if got := b.query("T1").field("state"); got != "refunded" {
		t.Errorf("state %s, want refunded", got)
	}
	wantCode(t, "second query", b.query("T1"), "-4024")
	wantCode(t, "script is over", b.capture(captureData("T1")), "200")
	for _, bad := range []gatewaytest.Step{
		{Fault: "earthquake"}, {On: "query", Fault: "late"}, {Code: "no"},
		{Fault: "notify_late"}, {On: "capture", State: "paid"}, {On: "tea"},
	} {
		if err := b.sim.Script("T1", bad); err == nil {
			t.Errorf("step %+v was taken", bad)
		}
	}
}

func TestLateLandingAfterAuthorizedQuery(t *testing.T) {
	b := start(t, nil)
	b.script("T1", gatewaytest.Step{Fault: gatewaytest.Late})
	// Both ways a late call ends for its client leave time before it lands.
	lost := make(chan answer, 1)
	go func() { lost <- b.capture(captureData("T1")) }()
	eventually(t, "the call is received", func() bool { return b.truth("T1").CallsTotal == 1 })
	if got := b.query("T1").field("state"); got != "authorized" {
		t.Fatalf("state %s before it lands, want authorized", got)
	}
	eventually(t, "it lands", func() bool { return len(b.truth("T1").Captures) == 1 })
	if got := <-lost; got.err == nil {
		t.Errorf("the client got an answer: %+v", got)
	}
	if got := b.query("T1").field("state"); got != "paid" {
		t.Errorf("state %s after it landed, want paid", got)
	}
}

func TestLateDoesNotLandTwice(t *testing.T) {
	b := start(t, nil)
	b.script("T1", gatewaytest.Step{Fault: gatewaytest.Late})
	b.capture(captureData("T1"))
	b.capture(captureData("T1", "request_id", requestID(2)))
	eventually(t, "all three calls are seen", func() bool { return b.truth("T1").CallsTotal == 3 })
	if n := len(b.truth("T1").Captures); n != 1 {
		t.Errorf("%d captures, want 1", n)
	}
}

// met plays the same calls and lists the fault that each met.
func met(t *testing.T, seed uint64, trades []string) map[string]string {
	faults := gatewaytest.Faults{gatewaytest.ErrorBefore: .3, gatewaytest.Status429Before: .3, gatewaytest.QueryError: .5}
	b := start(t, func(o *gatewaytest.Options) { o.Seed, o.Faults = seed, faults })
	got := map[string]string{}
	for _, id := range trades {
		b.add(gatewaytest.Trade{TradeID: id, Amount: euro(t, "30.00")})
	}
	for range 4 {
		for _, id := range trades {
			b.capture(captureData(id, "request_id", requestID(int(id[1]))))
			b.query(id)
		}
	}
	for _, id := range trades {
		for _, c := range b.truth(id).Calls {
			got[id] += fmt.Sprintf("%s:%s ", c.Method, c.Fault)
		}
	}
	return got
}

func TestFaultsDependOnTheSeedOnly(t *testing.T) {
	forth := met(t, 7, []string{"A1", "B2", "C3", "D4"})
	back := met(t, 7, []string{"D4", "C3", "B2", "A1"})
	if !maps.Equal(forth, back) {
		t.Errorf("the order of trades changed the faults:\n%v\n%v", forth, back)
	}
	if maps.Equal(forth, met(t, 8, []string{"A1", "B2", "C3", "D4"})) {
		t.Error("another seed met the same faults")
	}
	if forth["A1"] == forth["B2"] && forth["B2"] == forth["C3"] {
		t.Error("every trade met the same faults")
	}
}

func TestProbabilities(t *testing.T) {
	b := start(t, func(o *gatewaytest.Options) { o.Faults = gatewaytest.Faults{gatewaytest.QueryError: .25} })
	const calls = 1600
	failed := 0
	for range calls {
		if b.query("T1").code() == "-1000" {
			failed++
		}
	}
	// The seed is fixed, so this is one draw: four standard deviations.
	if failed < calls/4-69 || failed > calls/4+69 {
		t.Errorf("%d of %d failed, want about a quarter", failed, calls)
	}
	if truth := b.truth("T1"); truth.CallsTotal != calls || len(truth.Calls) != 1000 {
		t.Errorf("%d calls counted and %d kept, want %d and 1000", truth.CallsTotal, len(truth.Calls), calls)
	}
}

func TestFaultsValidate(t *testing.T) {
	for _, bad := range []gatewaytest.Faults{
		{"earthquake": .1}, {gatewaytest.Late: -1}, {gatewaytest.Late: 1.5},
		{gatewaytest.Late: .6, gatewaytest.Slow: .6},
	} {
		if bad.Validate() == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	for _, name := range gatewaytest.Presets() {
		f, err := gatewaytest.Preset(name)
		if err != nil || f.Validate() != nil {
			t.Errorf("%s: %v %v", name, err, f.Validate())
		}
	}
	if _, err := gatewaytest.Preset("stormy"); err == nil {
		t.Error("an unknown preset was taken")
	}
}

func TestHostileHasEveryKnob(t *testing.T) {
	hostile, _ := gatewaytest.Preset("hostile")
	sums := map[gatewaytest.Target]float64{}
	for _, k := range gatewaytest.Knobs() {
		if hostile[k.Name] == 0 {
			t.Errorf("hostile lacks %s", k.Name)
		}
		sums[k.On] += hostile[k.Name]
	}
	if c, q := sums["capture"], sums["query"]; c < .25 || c > .35 || q < .14 || q > .16 {
		t.Errorf("capture calls %.3f, queries %.3f", c, q)
	}
}

func TestDocListsEveryKnob(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range gatewaytest.Knobs() {
		if row := fmt.Sprintf("//\t%-20s %-8s %s\n", k.Name, k.On, k.Doc); !strings.Contains(string(doc), row) {
			t.Errorf("the package doc lacks the row %q", row)
		}
	}
}
