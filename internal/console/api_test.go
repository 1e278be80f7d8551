package console_test

import (
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/capture-worker/capture-worker/internal/console"
)

// The API answers tokens of its own, under the same roles, as its description says.
func TestAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *console.Options) {
		withUsers(t)(o)
		o.Access.Tokens = map[string][32]byte{"shop": sha256.Sum256([]byte("secret")), "eve": sha256.Sum256([]byte("other"))}
		o.Access.Viewers = []string{"shop", "viewer"}
	})
	w.someTrades()
	as := func(token string) map[string]string { return map[string]string{"Authorization": "Bearer " + token} }
	_, description := w.ask(request{path: "/api/v1/openapi.json", header: as("secret")})
	schemas := compile(t, description)
	for _, c := range []struct {
		r         request
		pointer   string // of the schema of the answer
		code      int
		contained string
	}{
		{request{path: "/api/v1/trades/T-1"}, "/paths/~1api~1v1~1trades~1{trade}/get", 200, `"verdict": "not_known_operator"`},
		{request{path: "/api/v1/trades/T-2"}, "/paths/~1api~1v1~1trades~1{trade}/get", 200, `"verdict": "charged"`},
		{request{path: "/api/v1/trades/T-404"}, "/paths/~1api~1v1~1trades~1{trade}/get", 404, "error"},
		{request{path: "/api/v1/cases?kind=parked&limit=5"}, "/paths/~1api~1v1~1cases/get", 200, "T-1"},
		{request{path: "/api/v1/cases?kind=all"}, "/paths/~1api~1v1~1cases/get", 400, "error"},
		{request{path: "/api/v1/cases?kind=parked&limit=0"}, "/paths/~1api~1v1~1cases/get", 400, "error"},
		{request{path: "/api/v1/dead-letters"}, "/paths/~1api~1v1~1dead-letters/get", 200, "bad_amount"},
		{request{method: http.MethodPost, path: "/api/v1/search"}, "/paths/~1api~1v1~1search/post", 400, "error"},
	} {
		c.r.header = as("secret")
		resp, body := w.ask(c.r)
		if resp.StatusCode != c.code || !strings.Contains(body, c.contained) {
			t.Errorf("%s: %s %s", c.r.path, resp.Status, body)
			continue
		}
		schemas(c.pointer+"/responses/"+resp.Status[:3]+"/content/application~1json/schema", body)
	}
	found := w.post("/api/v1/search", "secret", `{"id":"A-1"}`)
	schemas("/paths/~1api~1v1~1search/post/responses/200/content/application~1json/schema", found)
	if !strings.Contains(found, `"T-1"`) {
		t.Errorf("the search: %s", found)
	}
	for _, token := range []string{"", "wrong", "other"} {
		if resp, _ := w.ask(request{path: "/api/v1/trades/T-1", header: as(token)}); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("token %q: %s", token, resp.Status)
		}
	}
	// A token opens no page.
	if resp, _ := w.ask(request{path: "/work", header: as("secret")}); resp.StatusCode == http.StatusOK {
		t.Error("a token opens a page")
	}
	if resp, _ := w.ask(request{method: http.MethodPost, path: "/lanes/all/pause", header: as("secret"), form: url.Values{"note": {"x"}, "hours": {"1"}}}); resp.StatusCode == http.StatusOK {
		t.Error("a token acts")
	}
	if resp, _ := w.ask(request{path: "/api/v2/x", header: as("secret")}); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown operation: %s", resp.Status)
	}
}

// post sends JSON and returns the answer.
func (w *world) post(path, token, body string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.server.URL+path, strings.NewReader(body))
	w.check(err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client().Do(req)
	w.check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	w.check(err)
	return string(answer)
}

// compile returns what holds a document against a schema of the description.
func compile(t *testing.T, description string) func(pointer, document string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(description))
	if err != nil {
		t.Fatalf("%v: %s", err, description)
	}
	if version := doc.(map[string]any)["openapi"]; version != "3.1.0" {
		t.Errorf("openapi is %v", version)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return func(pointer, document string) {
		t.Helper()
		schema, err := c.Compile("openapi.json#" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(pointer))
		if err != nil {
			t.Errorf("the description has no %s: %v", pointer, err)
			return
		}
		var v any
		if err := json.Unmarshal([]byte(document), &v); err != nil {
			t.Error(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", pointer, err)
		}
	}
}
