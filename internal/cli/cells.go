package cli

import "strings"

// safeCells keeps a spreadsheet from taking a text that others wrote for a
// formula: a cell that begins like one gets an apostrophe, as spreadsheets
// themselves do.
func safeCells(cells ...string) []string {
	for i, cell := range cells {
		if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
			cells[i] = "'" + cell
		}
	}
	return cells
}
