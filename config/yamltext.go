package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNesting limits the nesting of a file; real ones have four levels.
const maxNesting = 16

// yamlText reads YAML with every scalar as the text that was written: a user 016683
// keeps its zero, and 1e3 is not a thousand. Names must be in lower case and occur
// once, because viper ignores letter case and would let one silently replace the
// other.
type yamlText struct {
	lines map[string]int // the line of each key, by its dotted name
}

// Decode fills v. It implements viper's decoder.
func (y *yamlText) Decode(b []byte, v map[string]any) error {
	var doc yaml.Node
	in := yaml.NewDecoder(bytes.NewReader(b))
	switch err := in.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil // an empty file
	case err != nil:
		return err
	}
	if err := in.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("it holds more than one document")
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil // only comments
	}
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: must be sections with settings, such as nats: with url: in it", root.Line)
	}
	return y.mapping(root, "", v, 0)
}

func (y *yamlText) mapping(n *yaml.Node, prefix string, into map[string]any, depth int) error {
	for i := 0; i < len(n.Content); i += 2 {
		name := n.Content[i]
		if name.Kind != yaml.ScalarNode || name.Value == "" || name.Value != strings.ToLower(name.Value) {
			return fmt.Errorf("line %d: %q is not a name of a setting, these are in lower case", name.Line, cut(name.Value))
		}
		if strings.Contains(name.Value, ".") {
			return fmt.Errorf("line %d: %q must be nested: the part after the dot goes inside the part before", name.Line, cut(name.Value))
		}
		if _, twice := into[name.Value]; twice {
			return fmt.Errorf("line %d: %q is given twice", name.Line, cut(prefix+name.Value))
		}
		y.lines[prefix+name.Value] = name.Line
		value, err := y.value(n.Content[i+1], prefix+name.Value+".", depth+1)
		if err != nil {
			return err
		}
		into[name.Value] = value
	}
	return nil
}

func (y *yamlText) value(n *yaml.Node, prefix string, depth int) (any, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("line %d: nested too deep", n.Line)
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return nil, nil
		}
		return n.Value, nil
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := y.value(item, prefix, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		m := map[string]any{}
		return m, y.mapping(n, prefix, m, depth)
	}
	return nil, fmt.Errorf("line %d: anchors and aliases are not supported", n.Line)
}
