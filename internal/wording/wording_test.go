package wording

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// skipped are folders without text of ours, and files that quote other text.
var skipped = []string{
	".git", "bin", "node_modules", "testdata", "internal/wording", "sim/mutants/list.go",
}

func TestWording(t *testing.T) {
	t.Parallel()
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		name = filepath.ToSlash(name)
		if slices.Contains(skipped, name) || slices.Contains(skipped, d.Name()) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		var found []string
		switch {
		case d.IsDir():
			return nil
		case strings.HasSuffix(name, ".md"):
			found = checkMarkdown(t, path)
		case strings.HasSuffix(name, ".go"):
			found = checkGo(t, path)
		default:
			return nil
		}
		files++
		for _, f := range found {
			t.Errorf("%s:%s", name, f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Errorf("only %d files were checked", files)
	}
}

func checkMarkdown(t *testing.T, path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return check(1, string(b))
}

// checkGo checks comments and string literals, but no import paths.
func checkGo(t *testing.T, path string) []string {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := checkDocs(files, file)
	for _, group := range file.Comments {
		found = append(found, check(files.Position(group.Pos()).Line, commentText(group))...)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				found = append(found, check(files.Position(n.Pos()).Line, n.Value)...)
			}
		}
		return true
	})
	return found
}

// label matches a doc comment that labels its name instead of using it in a
// sentence: "Name: …".
var label = regexp.MustCompile(`^\w+:\s`)

// checkDocs checks the form of doc comments: "Name reports whether …", "Name
// returns …", "Name is …".
func checkDocs(files *token.FileSet, file *ast.File) []string {
	var found []string
	doc := func(g *ast.CommentGroup) {
		if name := label.FindString(g.Text()); name != "" && !strings.HasPrefix(name, "Deprecated:") {
			found = append(found, fmt.Sprintf("%d: %q: begin the doc comment with the name and a verb",
				files.Position(g.Pos()).Line, strings.TrimSpace(name)))
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			doc(n.Doc)
		case *ast.GenDecl:
			doc(n.Doc)
		case *ast.TypeSpec:
			doc(n.Doc)
		case *ast.ValueSpec:
			doc(n.Doc)
		case *ast.Field:
			doc(n.Doc)
		}
		return true
	})
	return found
}

// commentText returns the text of a comment without its marks, line by line.
func commentText(group *ast.CommentGroup) string {
	var b strings.Builder
	for _, c := range group.List {
		b.WriteString(strings.TrimPrefix(c.Text, "//"))
		b.WriteByte('\n')
	}
	return b.String()
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"An operator looks at it, in any letter case.":    nil,
		"It spends and recommends; adhere to it.":         nil,
		"It is seldom done.\nThe letter case is the same": {`3: "seldom": write rarely, less often`},
		"one\nnothing was in\nvain here":                  {`4: "in vain": write without result`},
		"SOMEBODY":                                        {`3: "SOMEBODY": write operator, or the role`},
	} {
		if got := check(3, text); !slices.Equal(got, want) {
			t.Errorf("check(%q) is %q, want %q", text, got, want)
		}
	}
}

func TestCheckDocs(t *testing.T) {
	t.Parallel()
	const source = `package p

// Good reports whether it is good.
func Good() bool { return true }

// Bad: the result is bad.
func Bad() {}

// Deprecated: use Good.
const Old = 1

type T struct {
	// Field: what it holds.
	Field int
	Other int // unset: none
}
`
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`6: "Bad:": begin the doc comment with the name and a verb`, `13: "Field:": begin the doc comment with the name and a verb`}
	if got := checkDocs(files, file); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
