package capture

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
