package result

import (
	"fmt"
	"io"
	"strings"
)

// Table is what a scenario came to, in words and numbers.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
	Notes []string
}

// Write writes the table in Markdown.
func (t Table) Write(w io.Writer) {
	fmt.Fprintf(w, "\n**%s**\n\n", t.Title)
	line := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.Head)
	line(strings.Split(strings.Repeat("--- ", len(t.Head)-1)+"---", " "))
	for _, row := range t.Rows {
		line(row)
	}
	for _, note := range t.Notes {
		fmt.Fprintf(w, "\n%s\n", note)
	}
}

// WriteReport writes everything of the run, in Markdown.
func (r Run) WriteReport(w io.Writer) {
	io.WriteString(w, r.Conditions())
	r.WriteTables(w)
	for _, t := range r.Tables {
		t.Write(w)
	}
}
