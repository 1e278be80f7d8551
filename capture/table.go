package capture

import (
	"fmt"
	"slices"
	"strings"
)

// Row is one row of the state machine's tables, as printed. The first row of a
// table whose condition holds decides.
type Row struct {
	Table string // TableDecide, TableCapture or TableQuery
	Name  string // the Rule of steps and events
	Rule  string // the numbers of its rules in docs/rules.md
	If    string
	Then  string
}

// The tables of the state machine.
const (
	TableDecide  = "decide"  // the next step
	TableCapture = "capture" // the conclusion from the answer to a capture call
	TableQuery   = "query"   // the conclusion from the answer to an Order Query
)

// Rows returns the rows of all tables in order, for documents and tests.
func Rows() []Row {
	rows := make([]Row, 0, len(decideTable)+len(judgeCaptureTable)+len(judgeQueryTable))
	for _, r := range decideTable {
		rows = append(rows, Row{TableDecide, r.name, r.rule, r.if_, r.then})
	}
	for _, r := range judgeCaptureTable {
		rows = append(rows, Row{TableCapture, r.name, r.rule, r.if_, r.then})
	}
	for _, r := range judgeQueryTable {
		rows = append(rows, Row{TableQuery, r.name, r.rule, r.if_, r.then})
	}
	return rows
}

// Edge is a change of a trade from one phase to another by an event.
type Edge struct {
	From, To Phase
	By       string // the row that wrote the event, or its type if no row did
}

// StateMachine returns docs/state-machine.md: the tables, and a diagram of the
// edges, which a test finds by running the state machine.
func StateMachine(edges []Edge) string {
	var b strings.Builder
	b.WriteString(machineIntro)
	b.WriteString("## The phases\n\n| phase | meaning |\n| --- | --- |\n")
	for _, p := range Phases() {
		fmt.Fprintf(&b, "| %s | %s |\n", p, phaseTexts[p])
	}
	b.WriteString("\nEach arrow is an event in the ledger, with the rows that write it. An arrow from a phase to itself is evidence that did not change it.\n\n")
	writeDiagram(&b, edges)
	for _, t := range machineTables {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| row | rule | if | then |\n| --- | --- | --- | --- |\n", t.title, t.text)
		for _, r := range Rows() {
			if r.Table == t.name {
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.Name, r.Rule, r.If, r.Then)
			}
		}
	}
	return b.String()
}

// writeDiagram draws one arrow for each pair of phases.
func writeDiagram(b *strings.Builder, edges []Edge) {
	type pair struct{ from, to Phase }
	labels := map[pair][]string{}
	for _, e := range edges {
		p := pair{e.From, e.To}
		labels[p] = append(labels[p], e.By)
	}
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> new\n")
	for _, from := range Phases() {
		for _, to := range Phases() {
			if by := labels[pair{from, to}]; len(by) > 0 {
				slices.Sort(by)
				fmt.Fprintf(b, "    %s --> %s: %s\n", from, to, strings.Join(slices.Compact(by), " / "))
			}
		}
	}
	b.WriteString("```\n")
}

var phaseTexts = map[Phase]string{
	PhaseNew:      "no capture call of ours is in the ledger",
	PhaseCalling:  "the last intent has no answer in the ledger: the call is under way, or its answer is lost",
	PhaseAnswered: "the answer to the last call did not settle the trade",
	PhaseCaptured: "outcome: the money is taken; no event changes that",
	PhaseFailed:   "outcome: no money moved; a job with another request reopens the trade",
	PhaseParked:   "outcome: an operator must look; a release reopens the trade",
}

const machineIntro = `<!-- Printed from the tables in capture/. Change those, then run: go test ./capture -run TestStateMachineDocument -update -->

# The state machine

A trade's state is the fold of its events in the ledger. From it, the job and the clock, ` + "`Decide`" + ` returns the next step; from an answer of the gateway, ` + "`Judge`" + ` returns the event to append. Both read a table from the top: the first row whose condition holds decides. They use no clock, no network and no randomness, so every worker that reads the same ledger takes the same step.

The numbers in the column "rule" are those of [rules.md](rules.md). Each event carries the name of the row that wrote it, in its member ` + "`rule`" + `.

The words:

- An **attempt** is one ` + "`request_id`" + `; it may need several **calls**.
- A call's **lease** is the time by which it is over, for every worker: twice ` + "`gateway.timeout`" + ` and five seconds after it was announced.
- A call is **lost** when it ended without an answer that ends it: a timeout, a broken connection, a crash, "accepted". After -1000 it is not lost, but **in doubt**: it may have taken effect.
- The **settle time** (` + "`reconcile.settle`" + `) is how long a lost call may still take effect and become visible. Queries **agree** when ` + "`reconcile.agree`" + ` of them in a row, asked after the settle time and ` + "`reconcile.spacing`" + ` apart, show the same. A query without a result neither agrees nor contradicts.
- A **request** is what a job asks for: amount, currency and deadline. The same request again changes nothing; another request reopens a failed trade. (Names of rows that are stored in events say "ask".)

`

var machineTables = []struct{ name, title, text string }{
	{TableDecide, "The next step", "Read before every step, for the job that is being delivered. \"Open\" is every phase except captured, parked and, for the same request, failed."},
	{TableCapture, "The answer to a capture call", "Read when a capture call has ended, however late."},
	{TableQuery, "The answer to an Order Query", "Read for every query, whether a worker, a notification, a batch or an operator asks."},
}
