package capture

import (
	"fmt"
	"slices"
	"strings"
)

// Row is one line of the state machine, as it is printed. The first row of a
// table whose condition holds decides.
type Row struct {
	Table string // TableDecide, TableCapture or TableQuery
	Name  string // what steps and events carry as their rule
	Rule  string // the numbers in docs/rules.md that it serves
	If    string
	Then  string
}

// The tables of the state machine.
const (
	TableDecide  = "decide"  // what to do next
	TableCapture = "capture" // what the answer to a capture call proves
	TableQuery   = "query"   // what the answer to an Order Query proves
)

// Rows lists the rows of all tables in their order, for documents and tests.
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

// Edge says that an event led a trade from one phase to another.
type Edge struct {
	From, To Phase
	By       string // the row that wrote the event, or its type if no row did
}

// StateMachine prints docs/state-machine.md: the tables as they are, and a
// diagram of the given edges. The edges come from walking the machine; nothing
// about them is written by hand.
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
	PhaseAnswered: "the last call was answered, and that did not settle it",
	PhaseCaptured: "outcome: the money is taken; nothing follows",
	PhaseFailed:   "outcome: no money moved; a job that asks for something else opens it again",
	PhaseParked:   "outcome: an operator must look; a release opens it again",
}

const machineIntro = `<!-- Printed from the tables in capture/. Change those, then run: go test ./capture -run TestStateMachineDocument -update -->

# The state machine

A trade's state is the fold of its events in the ledger. From it, the job and the clock, ` + "`Decide`" + ` returns the next step; from an answer of the gateway, ` + "`Judge`" + ` returns the event to append. Both read a table from the top: the first row whose condition holds decides. They know no clock, no network and no chance, so every worker that reads the same ledger takes the same step.

The numbers in the column "rule" are those of [rules.md](rules.md). Each event carries the name of the row that wrote it, in its member ` + "`rule`" + `.

The words:

- An **attempt** is one ` + "`request_id`" + `; it may need several **calls**.
- A call's **lease** is the time by which it is over, for every worker: twice ` + "`gateway.timeout`" + ` and five seconds after it was announced.
- A call is **lost** when it ended without an answer that ends it: a timeout, a broken connection, a crash, "accepted". After -1000 it is not lost, but **in doubt**: it may have taken effect.
- The **settle time** (` + "`reconcile.settle`" + `) is how long a lost call may still land and become visible. Queries **agree** when ` + "`reconcile.agree`" + ` of them in a row, asked after the settle time and ` + "`reconcile.spacing`" + ` apart, show the same. A query that tells nothing neither agrees nor contradicts.
- An **ask** is what a job wants: amount, currency and the time it leaves. The same ask again changes nothing; another ask opens a failed trade.

`

var machineTables = []struct{ name, title, text string }{
	{TableDecide, "What to do next", "Read before every step, for the job that is being delivered. \"Open\" is every phase but captured, parked and, for the same ask, failed."},
	{TableCapture, "What the answer to a capture call proves", "Read when a capture call has ended, however late."},
	{TableQuery, "What the answer to an Order Query proves", "Read for every query: of the worker, a notification, a batch or an operator."},
}
