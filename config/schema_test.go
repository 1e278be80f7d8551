package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/capture-worker/capture-worker/config"
)

func written(t *testing.T, write func(w *bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func example(w *bytes.Buffer) error { return config.WriteExample(w) }
func schema(w *bytes.Buffer) error  { return config.WriteSchema(w) }

// The files in the repository are what the commands print.
func TestExampleAndSchemaFiles(t *testing.T) {
	t.Parallel()
	for path, content := range map[string][]byte{"../deploy/capture.example.yaml": written(t, example), "../docs/config.schema.json": written(t, schema)} {
		if *update {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s does not show the present settings (%v); run: go test ./config -update", path, err)
		}
	}
}

func TestTheExampleIsTheDefaults(t *testing.T) {
	t.Parallel()
	content := written(t, example)
	path := write(t, "example.yaml", string(content))
	if err := config.Lint(path); err != nil {
		t.Error(err)
	}
	c, err := config.Load(config.Options{File: path, Env: func() []string { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range config.Keys() {
		if !strings.Contains(string(content), k.Doc) {
			t.Errorf("%s is not in the example", k.Name)
		}
		if got, want := k.Text(c), k.Text(config.Defaults()); got != want {
			t.Errorf("%s is %q, the default is %q", k.Name, got, want)
		}
	}
}

// fits reports whether the schema takes a file.
func fits(t *testing.T, file []byte) error {
	t.Helper()
	var s any
	if err := json.Unmarshal(written(t, schema), &s); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.json", s); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(file, &tree); err != nil {
		return err
	}
	return compiled.Validate(tree)
}

// The schema agrees with Load, on good files and bad ones.
func TestSchemaAgreesWithLoad(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"empty":            "",
		"numbers":          "worker:\n  concurrency: 8\ngateway:\n  rate: 1.5\n  user: 016683\n  timeout: 45s\n",
		"texts":            "worker:\n  concurrency: \"8\"\ngateway:\n  rate: \"1.5\"\n  timeout: 1m30s\nledger:\n  max_age: 400d\n",
		"lists":            "jobs:\n  subjects: [a.b, c.d]\n  lanes: {live: a.b, batch: c.d}\n  weights: {live: 4}\n",
		"lists as text":    "jobs:\n  subjects: a.b,c.d\n  lanes: live=a.b,batch=c.d\n",
		"mapping":          "jobs:\n  fields:\n    trade_id: payment.id\n    amount: {path: [$.a, $.b], unit: minor}\n    currency: {value: EUR}\n  match:\n  - {path: type, value: shipped}\n  - {path: kind, values: [a, b], ignore_case: true, others: [null, c]}\n",
		"no other":         "jobs:\n  match:\n  - {path: type, value: shipped, others: []}\n",
		"forever":          "ledger:\n  max_age: 0\n",
		"off":              "admin:\n  listen: off\n",
		"no section":       "jobs:\n",
		"typo":             "worker:\n  concurency: 8\n",
		"no section of us": "wroker:\n  concurrency: 8\n",
		"not a number":     "worker:\n  concurrency: many\n",
		"no unit":          "gateway:\n  timeout: 30\n",
		"a map":            "gateway:\n  url: {a: b}\n",
		"odd unit":         "jobs:\n  fields:\n    amount: {path: a, units: minor}\n",
		"match, no path":   "jobs:\n  match: [{value: a}]\n",
		"not a bool":       "gateway:\n  allow_plain_http: maybe\n",
	} {
		path := write(t, strings.ReplaceAll(name, " ", "_")+".yaml", file)
		_, loaded := config.Load(config.Options{File: path, Env: func() []string { return nil }})
		if valid := fits(t, []byte(file)); (valid == nil) != (loaded == nil) {
			t.Errorf("%s: schema says %v, Load says %v", name, valid, loaded)
		}
	}
	if err := fits(t, written(t, example)); err != nil {
		t.Errorf("the example: %v", err)
	}
}

// Lint reads neither environment nor secrets, and reports contradictions.
func TestLint(t *testing.T) {
	t.Setenv("CAPTURE_WORKER_CONCURRENCY", "none")
	missing := filepath.Join(t.TempDir(), "secret")
	if err := config.Lint(write(t, "good.yaml", "gateway:\n  secret_key_file: "+missing+"\n")); err != nil {
		t.Errorf("a file whose secret is elsewhere: %v", err)
	}
	err := config.Lint(write(t, "bad.yaml", "gateway:\n  tls_cert: c.pem\nnats:\n  replicas: 2\n"))
	problems, ok := errors.AsType[config.Problems](err)
	var keys []string
	for _, p := range problems {
		keys = append(keys, p.Area)
	}
	if want := []string{"nats.replicas", "gateway.tls_cert"}; !ok || !reflect.DeepEqual(keys, want) {
		t.Errorf("problems %v (%v), want %v", keys, err, want)
	}
}
