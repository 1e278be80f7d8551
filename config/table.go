package config

import (
	"fmt"
	"strings"
)

// Table is the Markdown table of all settings, for docs/configuration.md.
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

// markdown escapes what a cell of a table would take for its own.
func markdown(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;").Replace(s)
}
