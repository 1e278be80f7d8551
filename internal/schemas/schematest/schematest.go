// Package schematest holds values against the published schemas in docs/schemas,
// for tests. Formats are checked, not only noted.
package schematest

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema is one of the published schemas.
type Schema struct{ compiled *jsonschema.Schema }

// Job is the schema of jobs.
func Job(t testing.TB) Schema { return load(t, "job.schema.json") }

// Event is the schema of the ledger's events.
func Event(t testing.TB) Schema { return load(t, "event.schema.json") }

// Root is the folder of the module, above the folder that the test runs in.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "docs", "schemas")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no folder docs/schemas above the test's own")
		}
		dir = filepath.Dir(dir)
	}
}

// compiled keeps what was read: tests ask once per case.
var compiled sync.Map

func load(t testing.TB, name string) Schema {
	t.Helper()
	if s, ok := compiled.Load(name); ok {
		return s.(Schema)
	}
	text, err := os.ReadFile(filepath.Join(Root(t), "docs", "schemas", name))
	if err != nil {
		t.Fatal(err)
	}
	s := Compile(t, name, text)
	compiled.Store(name, s)
	return s
}

// Compile reads a schema, which must be one of draft 2020-12.
func Compile(t testing.TB, name string, text []byte) Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name, doc); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if schema.DraftVersion != 2020 {
		t.Fatalf("%s is read as draft %d, want 2020-12", name, schema.DraftVersion)
	}
	return Schema{schema}
}

// Check says what of a JSON text does not fit the schema, or that it is no
// JSON text.
func (s Schema) Check(text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.compiled.Validate(value)
}
