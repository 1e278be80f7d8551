package config

import (
	"fmt"
	"io"
	"strings"
)

const exampleHead = `# Every setting of capture-worker, with its default. Lines of settings without a
# default are comments. A flag wins over the environment, the environment over this
# file. Secrets belong in a file of their own (…_file), or in the environment.
`

// WriteExample writes a configuration file with every setting, its meaning and its
// default. Load reads it as the defaults.
func WriteExample(w io.Writer) error {
	var b strings.Builder
	b.WriteString(exampleHead)
	var open []string
	for _, k := range allKeys() {
		path := strings.Split(k.Name, ".")
		if fresh := len(open) == 0 || open[0] != path[0]; fresh {
			b.WriteString("\n")
		}
		open = openSections(&b, open, path[:len(path)-1])
		in, name := indent(len(open)), path[len(path)-1]
		fmt.Fprintf(&b, "%s# %s: %s\n", in, k.Env, k.Doc)
		switch value := k.yamlText(Defaults()); {
		case k.Secret, k.Default == "":
			fmt.Fprintf(&b, "%s# %s:\n", in, name)
		default:
			fmt.Fprintf(&b, "%s%s: %s\n", in, name, value)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
