package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/capture-worker/capture-worker/capture"
	"github.com/capture-worker/capture-worker/gateway"
)

// WriteYAML prints the configuration as a file that Load can read, with a
// comment after each value that says where it came from. Secrets are printed
// as "[hidden]", which Load refuses to take for a secret; those that are not
// set are left out.
func (c Config) WriteYAML(w io.Writer) error {
	var b strings.Builder
	var open []string
	for _, k := range allKeys() {
		value := k.yamlText(c)
		if k.Secret && value == `""` {
			continue
		}
		path := strings.Split(k.Name, ".")
		open = openSections(&b, open, path[:len(path)-1])
		origin := c.Origin(k.Name).String()
		if k.atStart(c) {
			value, origin = `""`, origin+": "+k.Shown
		}
		fmt.Fprintf(&b, "%s%s: %s # %s\n", indent(len(open)), path[len(path)-1], value, origin)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// openSections writes the headings that the next setting needs beyond those
// that are open.
func openSections(b *strings.Builder, open, want []string) []string {
	same := 0
	for same < len(open) && same < len(want) && open[same] == want[same] {
		same++
	}
	for i := same; i < len(want); i++ {
		fmt.Fprintf(b, "%s%s:\n", indent(i), want[i])
	}
	return want
}

func indent(depth int) string { return strings.Repeat("  ", depth) }

// atStart reports whether the value is computed when a worker starts, so that the
// value of the printing process does not count.
func (k Key) atStart(c Config) bool {
	return k.Shown != "" && c.Origin(k.Name).From == FromDefault
}

// yamlText returns the value on one line.
func (k Key) yamlText(c Config) string {
	switch v := k.field(&c).Interface().(type) {
	case []string:
		return oneLine(v)
	case map[string]string:
		if v == nil {
			v = map[string]string{}
		}
		return oneLine(v)
	case map[string]capture.Field:
		return oneLine(fieldTexts(v))
	case []capture.Match:
		return oneLine(matches(v))
	case int, float64, bool, time.Duration:
		return k.Text(c)
	}
	return quoted(k.Text(c))
}

// quoted returns text as YAML, quoted if necessary.
func quoted(text string) string {
	b, err := yaml.Marshal(text)
	if err != nil {
		panic("config: " + err.Error()) // a text can always be written
	}
	line := strings.TrimSuffix(string(b), "\n")
	if strings.Contains(line, "\n") {
		return oneLine(text)
	}
	return line
}

type printed struct {
	Value any    `json:"value"`
	From  From   `json:"from"`
	Name  string `json:"name,omitempty"`
	// Start describes the value that a worker uses for an empty one.
	Start string `json:"at_start,omitempty"`
}

// WriteJSON prints the configuration as one object, by the names of the keys:
// {"nats.url": {"value": "…", "from": "environment", "name": "CAPTURE_NATS_URL"}, …}.
// Durations are texts; secrets are "[hidden]", or "" when not set. A default that
// is worked out at start is "", with at_start in words.
func (c Config) WriteJSON(w io.Writer) error {
	out := map[string]printed{}
	for _, k := range allKeys() {
		value := k.field(&c).Interface()
		switch v := value.(type) {
		case time.Duration, string, gateway.Secret:
			value = k.Text(c)
		case map[string]capture.Field:
			value = fieldTexts(v)
		case []capture.Match:
			value = matches(v)
		}
		o := c.Origin(k.Name)
		p := printed{Value: value, From: o.From, Name: o.Name}
		if k.atStart(c) {
			p.Value, p.Start = "", k.Shown
		}
		out[k.Name] = p
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// Table returns the Markdown table of all settings.
func Table() string {
	var b strings.Builder
	b.WriteString("| Key | Environment variable | Default | Meaning |\n| --- | --- | --- | --- |\n")
	for _, k := range allKeys() {
		def := ""
		switch {
		case k.Shown != "":
			def = k.Shown
		case k.DefaultText() != "":
			def = "`" + k.DefaultText() + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", k.Name, k.Env, def, markdown(k.Doc))
	}
	return b.String()
}

// markdown escapes the text of a table cell.
func markdown(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;").Replace(s)
}
