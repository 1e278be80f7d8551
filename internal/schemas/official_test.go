package schemas_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/capture-worker/capture-worker/internal/npmtest"
)

// The specification's own schema finds what our reading of it misses. It comes
// from npm and is not kept here.
func TestAsyncAPIFitsTheSpecification(t *testing.T) {
	dir := npmtest.Install(t, filepath.Join("testdata", "asyncapi"))
	text, err := os.ReadFile(filepath.Join(dir, "node_modules", "@asyncapi", "specs", "schemas", "3.0.0-without-$id.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("asyncapi.json", doc); err != nil {
		t.Fatal(err)
	}
	official, err := c.Compile("asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	_, tree := readAsyncAPI(t)
	if err := official.Validate(plain(t, tree)); err != nil {
		t.Errorf("docs/asyncapi.yaml: %v", err)
	}
	delete(tree, "info")
	tree["operations"].(map[string]any)["tell"].(map[string]any)["action"] = "shout"
	if official.Validate(plain(t, tree)) == nil {
		t.Error("a document without info, that shouts, fits too: the check checks nothing")
	}
}

// plain is a tree of YAML as JSON has it.
func plain(t *testing.T, tree any) any {
	t.Helper()
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return value
}
