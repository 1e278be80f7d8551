package config

import (
	"slices"

	"github.com/spf13/pflag"
)

// AddFlags defines a flag for every setting of the named sections ("nats",
// "jobs"), or of all sections if none is named. Secrets get none. A flag's
// value is checked by Load, so that its message is like all others.
func AddFlags(flags *pflag.FlagSet, sections ...string) {
	for _, k := range allKeys() {
		if k.Flag == "" || (len(sections) > 0 && !slices.Contains(sections, k.Section())) {
			continue
		}
		f := flags.VarPF(&flagText{text: k.DefaultText(), kind: k.Type()}, k.Flag, "", k.Doc)
		if k.kind == boolKind {
			f.NoOptDefVal = "true"
		}
	}
}

// flagText is a flag whose text is kept as given.
type flagText struct{ text, kind string }

func (f *flagText) String() string     { return f.text }
func (f *flagText) Set(s string) error { f.text = s; return nil }
func (f *flagText) Type() string       { return f.kind }
