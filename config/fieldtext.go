package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/capture-worker/capture-worker/capture"
)

// ReadFields reads a saved mapping: YAML or JSON of the shape of jobs.fields.
func ReadFields(in io.Reader) (map[string]capture.Field, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	tree, err := structured(string(b))
	if err != nil {
		return nil, err
	}
	fields, ok := tree.(map[string]any)
	if !ok {
		return nil, valueError("must be a map such as trade_id: Vorgang")
	}
	v, err := fieldMap(fields)
	if err != nil {
		return nil, err
	}
	return v.(map[string]capture.Field), nil
}

// structured reads one YAML or JSON value like the decoder of the file: every
// scalar is the text that was written.
func structured(text string) (any, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, valueError(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return nil, errors.New("it is empty")
	}
	return (&yamlText{lines: map[string]int{}}).value(doc.Content[0], "", 0)
}

// parseFields reads field=path,field=path, or JSON for other forms.
func parseFields(s string) (any, error) {
	if strings.HasPrefix(s, "{") {
		tree, err := structured(s)
		if err != nil {
			return nil, err
		}
		return fieldMap(tree.(map[string]any))
	}
	plain, err := parseMap(s)
	if err != nil {
		return nil, err
	}
	var fields map[string]capture.Field
	for name, path := range plain.(map[string]string) {
		if fields == nil {
			fields = map[string]capture.Field{}
		}
		fields[name] = capture.At(path)
	}
	return fields, nil
}

func fieldMap(v map[string]any) (any, error) {
	fields := make(map[string]capture.Field, len(v))
	for _, name := range slices.Sorted(maps.Keys(v)) {
		f, ok := fieldOf(v[name])
		if !ok {
			return nil, valueError(fmt.Sprintf("must give a path for %q: a text, a list of texts, or {path: …, unit: …} or {value: …}", cut(name)))
		}
		fields[name] = f
	}
	return fields, nil
}

// fieldOf reads a path, a list of paths, or a map with a path or a value.
func fieldOf(v any) (f capture.Field, ok bool) {
	m, isMap := v.(map[string]any)
	if !isMap {
		paths, ok := textList(v)
		return capture.At(paths...), ok
	}
	for name, value := range m {
		switch name {
		case "path":
			f.Paths, ok = textList(value)
		case "value":
			f.Value, ok = value.(string)
		case "unit":
			var unit string
			unit, ok = value.(string)
			f.Unit = capture.Unit(unit)
		default:
			ok = false
		}
		if !ok {
			return f, false
		}
	}
	return f, f.Value != "" || len(f.Paths) > 0
}

// textList returns a list of texts; a single text is a list of one.
func textList(v any) ([]string, bool) {
	if s, ok := v.(string); ok {
		return []string{s}, s != ""
	}
	items, ok := v.([]any)
	if !ok || len(items) == 0 {
		return nil, false
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		s, ok := item.(string)
		if !ok || s == "" {
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}

// parseMatch reads path=value,path=value, or JSON for other forms.
func parseMatch(s string) (any, error) {
	if strings.HasPrefix(s, "[") {
		tree, err := structured(s)
		if err != nil {
			return nil, err
		}
		return matchList(tree.([]any))
	}
	var list []capture.Match
	err := eachPair(s, func(path, value string) error {
		list = append(list, capture.Match{Path: path, Value: value})
		return nil
	})
	return list, err
}

func matchList(items []any) (any, error) {
	list := make([]capture.Match, 0, len(items))
	for _, item := range items {
		m, ok := matchOf(item)
		if !ok {
			return nil, valueError("must be a list of {path: …, value: …} or {path: …, values: […], ignore_case: true, others: […]}")
		}
		list = append(list, m)
	}
	return list, nil
}

func matchOf(item any) (match capture.Match, ok bool) {
	m, _ := item.(map[string]any)
	for name, value := range m {
		switch name {
		case "path":
			match.Path, ok = value.(string)
		case "value":
			match.Value, ok = value.(string)
		case "values":
			match.Values, ok = textList(value)
		case "others":
			match.Others, ok = textList(nullsAsText(value))
		case "ignore_case":
			match.IgnoreCase, ok = value == "true", value == "true" || value == "false"
		default:
			ok = false
		}
		if !ok {
			return match, false
		}
	}
	return match, match.Path != "" && (match.Value != "") != (len(match.Values) > 0)
}

// nullsAsText replaces null in a list by the text "null", which means an absent
// member.
func nullsAsText(v any) any {
	items, ok := v.([]any)
	if !ok {
		return v
	}
	items = slices.Clone(items)
	for i := range items {
		if items[i] == nil {
			items[i] = "null"
		}
	}
	return items
}

// fieldText returns the printed form of a field: a path, a list of paths, or a map.
func fieldText(f capture.Field) any {
	if f.Value == "" && f.Unit == "" {
		return oneOrList(f.Paths)
	}
	m := map[string]any{}
	if len(f.Paths) > 0 {
		m["path"] = oneOrList(f.Paths)
	}
	if f.Value != "" {
		m["value"] = f.Value
	}
	if f.Unit != "" {
		m["unit"] = f.Unit
	}
	return m
}

func oneOrList(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

func fieldTexts(fields map[string]capture.Field) map[string]any {
	out := map[string]any{}
	for name, f := range fields {
		out[name] = fieldText(f)
	}
	return out
}

type matchText struct {
	Path       string   `json:"path"`
	Value      string   `json:"value,omitempty"`
	Values     []string `json:"values,omitempty"`
	IgnoreCase bool     `json:"ignore_case,omitempty"`
	Others     []string `json:"others,omitempty"`
}

func matches(list []capture.Match) []matchText {
	out := make([]matchText, 0, len(list))
	for _, m := range list {
		out = append(out, matchText(m))
	}
	return out
}

// formatFields writes what parseFields reads.
func formatFields(v any) string {
	fields := v.(map[string]capture.Field)
	plain := map[string]string{}
	for name, f := range fields {
		if f.Value != "" || f.Unit != "" || len(f.Paths) != 1 || strings.Contains(f.Paths[0], ",") {
			return oneLine(fieldTexts(fields))
		}
		plain[name] = f.Paths[0]
	}
	return formatMap(plain)
}

func formatMatch(v any) string {
	list := v.([]capture.Match)
	parts := make([]string, 0, len(list))
	for _, m := range list {
		if len(m.Values)+len(m.Others) > 0 || m.IgnoreCase || strings.ContainsAny(m.Path, ",=") || strings.Contains(m.Value, ",") {
			return oneLine(matches(list))
		}
		parts = append(parts, m.Path+"="+m.Value)
	}
	return strings.Join(parts, ",")
}

// oneLine writes a list or map on one line, as JSON, which is also YAML. > is not
// escaped, because operators read it.
func oneLine(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("config: " + err.Error()) // texts can always be encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}
