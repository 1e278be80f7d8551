package export

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// docs/books.md has the columns, in their order.
func TestColumnsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/books.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "### Columns")
	section, _, _ = strings.Cut(section, "\n### ")
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (.*) \\|$").FindAllStringSubmatch(section, -1) {
		got = append(got, row[1]+": "+row[2])
	}
	var want []string
	for _, c := range columns {
		want = append(want, c.name+": "+c.doc)
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/books.md has the columns\n%s\nand the program\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The columns of Parquet are those of the other formats.
func TestParquetHasTheColumns(t *testing.T) {
	var want, got []string
	for _, c := range slices.Concat(columns, clearingColumns) {
		want = append(want, c.name)
	}
	for _, path := range parquet.SchemaOf(parquetCleared{}).Columns() {
		got = append(got, path[len(path)-1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("Parquet has %v, want %v", got, want)
	}
}
