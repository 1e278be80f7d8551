package config

import (
	"fmt"
)

// fromFile reads a value in the form that the file's decoder returns: text, a list
// of texts or of maps, or a map of texts.
func (k *kind) fromFile(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return k.parse(v)
	case []any:
		return k.fromFileList(v)
	case map[string]any:
		switch k {
		case mapKind:
			return textMap(v)
		case fieldsKind:
			return fieldMap(v)
		}
	}
	return nil, k.wrongShape(v)
}

func (k *kind) fromFileList(items []any) (any, error) {
	switch k {
	case listKind:
		list := make([]string, 0, len(items))
		for _, item := range items {
			s, ok := item.(string)
			if !ok || s == "" {
				return nil, valueError("must be a list of texts")
			}
			list = append(list, s)
		}
		return list, nil
	case matchKind:
		return matchList(items)
	}
	return nil, k.wrongShape(items)
}

func textMap(v map[string]any) (any, error) {
	m := make(map[string]string, len(v))
	for name, value := range v {
		s, ok := value.(string)
		if !ok || s == "" {
			return nil, valueError(fmt.Sprintf("must give a value for %q", cut(name)))
		}
		m[name] = s
	}
	return m, nil
}

func (k *kind) wrongShape(v any) error {
	shape := "a map"
	if _, ok := v.([]any); ok {
		shape = "a list"
	}
	switch k {
	case listKind, mapKind, fieldsKind, matchKind:
		return valueError("must be a " + k.name + ", not " + shape)
	}
	return valueError("must be one value, not " + shape)
}
