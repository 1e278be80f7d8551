package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// serviceLink matches the variables that Kubernetes sets in every container for a
// Service: those of one named capture-worker have our prefix.
var serviceLink = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)

// readEnv returns our variables. One that names no setting is a problem: it is most
// likely misspelled and would be ignored.
func (l *loader) readEnv(environ []string) map[string]string {
	env := map[string]string{}
	names := envNames()
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		switch {
		case names[name]:
			env[name] = value
		case serviceLink.MatchString(name):
		default:
			l.problem("environment variable "+cut(name), "", "", "is no setting", didYouMean(name, sortedNames(names)))
		}
	}
	return env
}

func envNames() map[string]bool {
	names := map[string]bool{FileEnv: true}
	for _, k := range allKeys() {
		names[k.Env] = true
	}
	return names
}

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
