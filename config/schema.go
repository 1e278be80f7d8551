package config

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/capture-worker/capture-worker/capture"
)

// schemaURI is the dialect of the schema.
const schemaURI = "https://json-schema.org/draft/2020-12/schema"

type node = map[string]any

// WriteSchema writes a JSON Schema (2020-12) of the configuration file, for
// completion and checks in editors. It knows names, types and forms; Validate also
// checks that the values are consistent.
func WriteSchema(w io.Writer) error {
	root := section("Configuration of capture-worker.")
	root["$schema"] = schemaURI
	root["title"] = "capture-worker configuration"
	for _, k := range allKeys() {
		at := root
		path := strings.Split(k.Name, ".")
		for _, name := range path[:len(path)-1] {
			inner := at["properties"].(node)
			if inner[name] == nil {
				inner[name] = section("")
			}
			at = inner[name].(node)
		}
		at["properties"].(node)[path[len(path)-1]] = k.schema()
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(root)
}

// section returns an object that has no members but its properties.
func section(doc string) node {
	n := node{"type": []string{"object", "null"}, "additionalProperties": false, "properties": node{}}
	if doc != "" {
		n["description"] = doc
	}
	return n
}

func (k Key) schema() node {
	n := k.kind.schema()
	n["description"] = k.Doc
	if k.Default != "" && !k.Secret {
		n["default"] = k.Default
	}
	return n
}

// durationPattern is what ParseDuration takes, except for its rarer forms such as
// 1h2m3.5s, of which the units are checked only.
const durationPattern = `^(0|[0-9]+d|([0-9.]+(ns|us|µs|ms|s|m|h))+)$`

// schema returns the forms of a value in a file. A file's scalars are read as the
// text that was written, so a number may stand for a text.
func (k *kind) schema() node {
	switch k {
	case boolKind:
		return node{"anyOf": []node{{"type": "boolean"}, {"enum": []string{"true", "false"}}}}
	case intKind:
		return node{"anyOf": []node{{"type": "integer"}, {"type": "string", "pattern": "^[+-]?[0-9]+$"}}}
	case rateKind:
		return node{"anyOf": []node{{"type": "number"}, {"type": "string", "pattern": "^[0-9.eE+-]+$"}}}
	case durationKind:
		return node{"anyOf": []node{{"const": 0}, {"type": "string", "pattern": durationPattern}}}
	case listKind:
		return node{"anyOf": []node{{"type": []string{"string", "null"}}, {"type": "array", "items": scalar()}}}
	case mapKind:
		return node{"anyOf": []node{{"type": []string{"string", "null"}}, {"type": "object", "additionalProperties": scalar()}}}
	case fieldsKind:
		return node{"anyOf": []node{{"type": []string{"string", "null"}}, {"type": "object", "additionalProperties": fieldSchema()}}}
	case matchKind:
		return node{"anyOf": []node{{"type": []string{"string", "null"}}, {"type": "array", "items": matchSchema()}}}
	}
	return node{"type": []string{"string", "number", "null"}}
}

func scalar() node { return node{"type": []string{"string", "number", "boolean"}} }

func oneOrMore() node {
	return node{"anyOf": []node{scalar(), {"type": "array", "items": scalar(), "minItems": 1}}}
}

func fieldSchema() node {
	return node{"anyOf": []node{scalar(), {"type": "array", "items": scalar(), "minItems": 1}, {
		"type": "object", "additionalProperties": false, "minProperties": 1,
		"properties": node{"path": oneOrMore(), "value": scalar(), "unit": node{"enum": []capture.Unit{capture.UnitMajor, capture.UnitMinor, capture.UnitSeconds, capture.UnitMillis}}},
	}}}
}

func matchSchema() node {
	return node{
		"type": "object", "additionalProperties": false, "required": []string{"path"},
		"properties": node{
			"path": scalar(), "value": scalar(), "values": oneOrMore(),
			"others":      node{"anyOf": []node{scalar(), {"type": "array", "minItems": 1, "items": node{"type": []string{"string", "number", "boolean", "null"}}}}},
			"ignore_case": node{"anyOf": []node{{"type": "boolean"}, {"enum": []string{"true", "false"}}}},
		},
	}
}
